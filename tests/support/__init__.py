"""What tests share: workspaces to work on, and inventories to compare."""
