"""The functions: HTTP and the clock come in here, everything else is in `invoicing/`."""

import json
import os
from datetime import UTC, date, datetime

from fnkit import Context, Event, Response, cron, function

from invoicing.invoice import Invoice, Seller
from invoicing.ledger import overdue, read_ledger
from invoicing.links import InvalidLink, decode, encode
from invoicing.page import render
from invoicing.reading import InvalidInvoice, read_invoice

SELLER = {"SELLER_NAME": "Marguerite Perey Conseil", "SELLER_IBAN": "FR7630006000011234567890189"}


@function(memory=256, timeout="30s", env=SELLER, secrets=["LINK_KEY"])
def invoices(event: Event, context: Context) -> Response:
    """`POST /` makes an invoice and answers with its link; `GET /<token>` is that link: a page to print or pay.

    There is no database: the invoice travels inside its signed link.
    """
    match event["httpMethod"]:
        case "POST":
            return _create(event["body"])
        case "GET":
            return _show(event["path"].strip("/"))
        case _:
            return _json(405, {"message": "use GET or POST"}, Allow="GET, POST")


@cron("0 8 * * MON-FRI", args={"grace_days": 14}, name="reminders")
@function(memory=128, description="Who has not paid yet, every working morning.")
def reminders(event: Event, context: Context) -> dict[str, list[str]]:
    """Report what is overdue by more than `grace_days`; `today` may be given, to look back."""
    args = json.loads(event["body"] or "{}")
    today = date.fromisoformat(args["today"]) if "today" in args else datetime.now(UTC).date()
    late = overdue(read_ledger(), today, args.get("grace_days", 0))
    for entry in late:
        print(f"{entry.number}: {entry.customer} owes {entry.amount} since {entry.due}")
    return {"overdue": [entry.number for entry in late]}


def _create(body: str) -> Response:
    try:
        invoice = read_invoice(body)
    except InvalidInvoice as error:
        return _json(422, {"problems": error.problems})
    link = f"/{encode(invoice.to_json(), os.environ['LINK_KEY'])}"
    return _json(201, {"number": invoice.number, "total": str(invoice.total), "link": link}, Location=link)


def _show(token: str) -> Response:
    if not token:
        return _json(200, {"usage": "POST an invoice to /; its answer names the link to open"})
    try:
        invoice = Invoice.from_json(decode(token, os.environ["LINK_KEY"]))
    except InvalidLink:
        return _json(404, {"message": "there is no such invoice"})
    seller = Seller(os.environ["SELLER_NAME"], os.environ["SELLER_IBAN"])
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "private"}
    return {"statusCode": 200, "headers": headers, "body": render(invoice, seller)}


def _json(status: int, body: dict[str, object], **headers: str) -> Response:
    return {"statusCode": status, "headers": {"Content-Type": "application/json", **headers}, "body": body}
