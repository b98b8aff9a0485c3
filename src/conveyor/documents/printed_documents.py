"""All documents that commands print with ``--json``, which the published schema is made from."""

from __future__ import annotations

from conveyor.documents.listing_documents import AreasDocument, CapabilitiesDocument, ConfigDocument, DoctorDocument
from conveyor.documents.report_documents import HistoryDocument, NotifyDocument, ReportDocument
from conveyor.documents.request_documents import FailureDocument, OverviewDocument, RequestsDocument

Printed = (
    RequestsDocument
    | OverviewDocument
    | AreasDocument
    | CapabilitiesDocument
    | ConfigDocument
    | DoctorDocument
    | NotifyDocument
    | HistoryDocument
    | ReportDocument
    | FailureDocument
)
