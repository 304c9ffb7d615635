"""An invoice as a page to print, with a code that banking apps scan (EPC069-12, "GiroCode")."""

import segno.helpers
from jinja2 import Environment, PackageLoader, StrictUndefined

from invoicing.invoice import Invoice, Seller

_PAGES = Environment(
    loader=PackageLoader("invoicing", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
)


def render(invoice: Invoice, seller: Seller) -> str:
    return _PAGES.get_template("invoice.html").render(
        invoice=invoice, seller=seller, payment_code=_payment_code(invoice, seller)
    )


def _payment_code(invoice: Invoice, seller: Seller) -> str | None:
    """The code as inline SVG; `None` where there is nothing to pay."""
    if not invoice.total:
        return None
    code = segno.helpers.make_epc_qr(
        name=seller.name[:70], iban=seller.iban, amount=invoice.total, text=invoice.number[:140]
    )
    return str(code.svg_inline(scale=3, border=0))
