"""A ticket as a QR code: ``GET /?ticket=…`` is an SVG image."""

import io

import segno

from fnkit import Context, Event, Response, function

LENGTH_MAX = 200


@function(memory=128)
def code(event: Event, context: Context) -> Response:
    """Draw the text of a ticket."""
    ticket = event["queryStringParameters"].get("ticket", "")
    if not 0 < len(ticket) <= LENGTH_MAX:
        return {"statusCode": 422, "body": f"expected a ticket of at most {LENGTH_MAX} characters\n"}
    image = io.BytesIO()
    segno.make(ticket, error="m").save(image, kind="svg", scale=4)
    return {"headers": {"Content-Type": "image/svg+xml"}, "body": image.getvalue().decode()}
