"""`report.html`: a run on one page that needs no network, for whoever would rather look."""

from recon.report.page import REPORT_NAME, write_report

__all__ = ["REPORT_NAME", "write_report"]
