"""Where an item stands in the owner's list, and what keeps it off the first page, in words."""

from typing import TYPE_CHECKING

from ondevice.domain import Verdict

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.profile.owner_view import Owner
    from ondevice.profile.pipeline import Order

FIRST_PAGE = 10


def standing(
    owner: "Owner", catalogue: "Catalogue", row: int, last: "Order"
) -> tuple[int | None, tuple[str, ...]]:
    """Return the place of `row` (None: not in the list) and what keeps it off the first page.

    Args:
        owner: whose list.
        catalogue: of the list.
        row: of the item.
        last: the list as it was shown last.
    """
    refusal = owner.wish.rules.refusal(catalogue.records[row])
    known = _known(owner, row)
    if refusal or known:
        return None, tuple(filter(None, (known, refusal)))
    listing = owner.listing(limit=FIRST_PAGE, last=last)
    rows = listing.order.rows
    above = int((owner.values > owner.values[row]).sum())
    if row in listing.twin_of:
        other = catalogue.records[listing.twin_of[row]].title
        return None, (f"it is nearly the same as “{other}”, which is in the list",)
    place = rows.index(row) + 1 if row in rows else above + 1
    if place <= FIRST_PAGE:
        return place, ()
    reasons = []
    lowest = min((one.score for one in listing.page), default=0.0)
    missing = lowest - float(owner.values[row])
    if missing > 0:
        reasons.append(f"its score is {missing:.2f} below the lowest of the first page")
    else:
        reasons.append(
            "its score would do, but likeness to what stands above, its series or the last "
            "order keeps others before it"
        )
    worst = min(owner.explain(row), key=lambda part: part.share)
    if worst.share < 0:
        reasons.append(f"most speaks against it: {worst.label} ({worst.share:+.2f})")
    return place, tuple(reasons)


def _known(owner: "Owner", row: int) -> str:
    said = [verdict for about, verdict in owner.overlay if about == row]
    if Verdict.HIDE in said:
        return "you hid it: feedback ITEM undo brings it back"
    if Verdict.LIKE in said:
        return "you liked it, so you know it already"
    return "you know it already" if row in owner.excluded else ""
