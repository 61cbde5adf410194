"""The guarantee in words a person understands. Pure: of numbers that were read elsewhere."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ondevice.profile.expected import Expected

TOGETHER = 3  # how many things of one deed are told as an example
CERTAIN = 1e6  # times surer, from which a bound protects nobody

MECHANISM = "continual release by a banded square root, discrete Gaussian noise, zCDP"
MECHANISM_SAID = (
    "How: every step adds noise to a decaying sum of what you did, drawn once from an exact "
    f"discrete Gaussian ({MECHANISM}). The list is made from that sum."
)
THE_OWNER = (
    "Your own list on this screen may know more: what you saw, liked and hid. It is protected by "
    "encryption and never leaves this device; this promise is about what you share."
)
PICKS = (
    "What you pick acts on your own list at once, and enters the private profile as one thing you "
    "did, protected like any other. What you mute, only your own list knows."
)


def spent(*, epsilon: float, cap: float, unit: str, delta: float) -> str:
    """What the guarantee is, in one line."""
    return (
        f"epsilon {epsilon:.3g} of {cap:.3g} per {unit}, for life, except with probability "
        f"{delta:g}."
    )


def odds(*, times: float, unit: str) -> str:
    """What it means for whoever looks on."""
    what = "this one thing" if unit == "behaviour" else "everything you did on one day"
    return (
        f"Compared with a world in which {what} had not been recorded, whoever sees everything you "
        f"share, for ever, can be at most {_times(times)} surer about it: an even guess "
        f"becomes {_percent(times)} at most."
    )


def together(*, epsilon: float, times: float, unit: str) -> str:
    """What k things that give the same away cost, for k = 3."""
    what = "things of one deed" if unit == "behaviour" else "days of one story"
    useless = ", which is no useful limit" if times >= CERTAIN else ""
    return (
        f"{TOGETHER} {what} are hidden less well than one: what they have in common costs "
        f"{TOGETHER**2} times as much, epsilon {epsilon:.3g} ({_times(times)} surer{useless})."
    )


def not_hidden(*, unit: str, pace: str | None) -> str:
    """What the guarantee leaves out.

    Args:
        unit: of privacy.
        pace: the public clock in words ("hour"); None where every behaviour moves the list.
    """
    if unit == "day":
        return (
            "Not hidden: that you use this program. Every day brings one step, also an empty one: "
            "whether something happened on a day, what, how much and when, is hidden. "
            "After a pause of the program its steps come at once: that shows when it ran again."
        )
    if pace:
        return (
            f"Not hidden: that you use this program. Every {pace} brings one step, whether "
            "something happened or not, so that and when you did something is hidden as well. "
            "After a pause of the program its steps come at once: that shows when it ran again."
        )
    return (
        "Not hidden: that something was recorded, and when your list moved. To hide that too, set "
        'shared_clock = "1h" in config.toml.'
    )


def constant(unit: str) -> str:
    """Why more costs no more."""
    more = "behaviours" if unit == "behaviour" else "days"
    return f"More {more} cost nothing more."


def quality(
    found: "Expected | None", *, epsilon: float, behaviours: int, simulated: bool = False
) -> str:
    """What the list is worth at this epsilon after this many behaviours.

    Args:
        found: what the space's table says; None: not measured.
        epsilon: of the profile.
        behaviours: so far.
        simulated: whether the table is of invented people, as that of the samples' space.
    """
    things = f"{behaviours} thing{'' if behaviours == 1 else 's'} you did"
    start = f"Expected quality at epsilon {epsilon:.3g} after {things}: "
    if found is None:
        return f"{start}not measured for this space."
    ndcg, without_noise, inside = found.ndcg, found.without_noise, found.inside
    beside = f", {without_noise:.3f} without noise" if without_noise is not None else ""
    whom = "invented people" if simulated else "the publisher's test users"
    edge = "" if inside else " (the nearest that was measured)"
    return f"{start}NDCG@10 of about {ndcg:.3f}{beside}, as measured on {whom}{edge}."


def waits(count: int, pace: str) -> str:
    """What has not entered the profile yet."""
    things = "1 thing waits" if count == 1 else f"{count} things wait"
    return f"{things} for the end of the {pace}, when the profile takes its next step."


def _times(times: float) -> str:
    if times < 10:
        return f"{times:.2g} times"
    return f"{times:,.0f} times" if times < CERTAIN else f"{times:.0e} times"


def _percent(times: float) -> str:
    digits = max(1, math.ceil(math.log10(1 + times)) - 1)
    return f"{100 * times / (1 + times):.{min(digits, 9)}f}%"
