"""What the app says about itself."""

import logging

from flask import Response, request

log = logging.getLogger(__name__)


def set_up() -> None:
    """Print what is logged, from INFO on."""
    logging.basicConfig(level=logging.INFO)


def tell(response: Response) -> Response:
    """Log an answer while its span is current."""
    log.info("%s %s %s", request.method, request.url_rule or "-", response.status_code)
    return response
