"""A capability for VLASS calibrations."""

from conveyor import Capability, Directory, Weblog

VLASS = Capability(
    name="vlass",
    workflows=("vlass_calibration", "vlass_*"),
    qa_area="qa2",
    directories=(
        Directory("rawdata", required=False),
        Directory("products"),
        Directory("working"),
    ),
    weblog=Weblog(required=True),
)
