"""Why an import or an export did not succeed; each message is for who typed the command."""


class TransferFailed(Exception):
    """The base of these errors."""


class SourceUnusable(TransferFailed):
    """What was named holds no image that can be read."""


class RequestFailed(TransferFailed):
    """The registry refused a request; the message is its own."""


class Interrupted(TransferFailed):
    """Ctrl-C."""


class ExportFailed(TransferFailed):
    """The image can't be exported."""
