"""The capabilities that come with Conveyor: standard calibration and standard imaging."""

from __future__ import annotations

from conveyor.capabilities.capability import Capability, Directory

CALIBRATION = Capability(
    name="calibration",
    workflows=("std_calibration",),
    qa_area="qa2",
    directories=(Directory("rawdata"), Directory("products"), Directory("working")),
)

IMAGING = Capability(
    name="imaging",
    workflows=("std_cms_imaging", "std_restore_imaging"),
    qa_area="image-qa",
    # Imaging may start from calibrated data of an earlier request, and then has no raw data of its own.
    directories=(Directory("rawdata", required=False), Directory("products"), Directory("working")),
)

BUILT_IN = (CALIBRATION, IMAGING)
