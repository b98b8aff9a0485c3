"""What tests share: workspaces to work on, and inventories to compare."""

import pkgutil

import pytest

# Before any of the modules is imported, so that their assertions say what they compared.
pytest.register_assert_rewrite(*(module.name for module in pkgutil.iter_modules(__path__, "support.")))
