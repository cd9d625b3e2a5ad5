"""What a browser shows: charts, the page, the dashboard."""


class PageExtraMissing(ImportError):
    """The packages that export notebooks are not installed; the message says what to install."""

    def __init__(self, package: str | None) -> None:
        message = "exporting notebooks needs more packages: pip install 'calypso_nb[page]'"
        super().__init__(message, name=package)
