"""What the application logs, one line of JSON a record, so that a test can read it among what the server prints."""

import json
import logging
import sys

from ellar.common import IHostContext
from starlette.responses import JSONResponse


class JSONLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        traceback = self.formatException(record.exc_info) if record.exc_info else ""
        fields = {"logger": record.name, "level": record.levelname, "message": record.getMessage()}
        return json.dumps({**fields, "traceback": traceback})


def configure(level: str = "WARNING") -> None:
    """Log what everybody has to say at that level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def handled(by: str, context: IHostContext, error: Exception) -> JSONResponse:
    """Answer an error as an exception handler, and log it."""
    path = context.switch_to_http_connection().get_client().url.path
    logging.getLogger("handlers").error("the handler of the %s got %r of %s", by, error, path)
    return JSONResponse({"handled by": by}, status_code=418)
