"""Rules that keep items off a list whatever their score. Each refusal says which rule it was."""

from collections.abc import Sequence
from dataclasses import dataclass

from ondevice.config import Ranking
from ondevice.domain import Item
from ondevice.ranking.traits import age_of, folded, series_of, source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A field and a value; without a field a word for category and tags."""

    field: str  # "", or one of config.RULE_FIELDS
    value: str

    @classmethod
    def of(cls, text: str) -> "Rule":
        """Read "category:Comedy" or "Comedy"."""
        field, mark, value = text.partition(":")
        return (
            cls(field=field.strip(), value=value.strip())
            if mark
            else cls(field="", value=text.strip())
        )

    def __str__(self) -> str:
        return f"{self.field}:{self.value}" if self.field else self.value

    def matches(self, item: Item) -> bool:
        """Say whether `item` is meant: equal words, whatever their case; of a title, a part."""
        if self.field == "id":
            return item.id == self.value
        wanted = folded(self.value)
        if self.field == "title":
            return bool(wanted) and wanted in folded(item.title)
        if self.field == "source":
            return source_of(item) == self.value.casefold()
        if self.field == "series":
            return series_of(item) == wanted
        words = {
            "category": (item.category,),
            "tag": item.tags,
            "": (item.category, *item.tags),
        }[self.field]
        return any(folded(word) == wanted for word in words if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules of one view."""

    price_min: float = 0.0
    price_max: float | None = None
    age_limit: int | None = None
    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    muted: tuple[Rule, ...] = ()  # what the owner said; not for the shared view

    @classmethod
    def of(cls, ranking: Ranking, muted: Sequence[Rule] = ()) -> "Rules":
        """Read the rules of a configuration, and add what is muted."""
        return cls(
            price_min=ranking.price_min,
            price_max=ranking.price_max,
            age_limit=ranking.age_limit,
            allow=tuple(map(Rule.of, ranking.allow)),
            deny=tuple(map(Rule.of, ranking.deny)),
            muted=tuple(muted),
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is ever refused."""
        return self == Rules()

    def refusal(self, item: Item) -> str:
        """Say in words why `item` is kept off the list; "" where it is not.

        An item without a price passes a price range, one without an age an age limit.
        """
        for rule in self.muted:
            if rule.matches(item):
                return f"you muted {rule}"
        for rule in self.deny:
            if rule.matches(item):
                return f"the rule deny = “{rule}”"
        if self.allow and not any(rule.matches(item) for rule in self.allow):
            return "no rule of allow fits it"
        if item.price is not None and item.price < self.price_min:
            return f"it costs less than {self.price_min:g}"
        if item.price is not None and self.price_max is not None and item.price > self.price_max:
            return f"it costs more than {self.price_max:g}"
        age = age_of(item)
        if self.age_limit is not None and age is not None and age > self.age_limit:
            return f"it is for {age} and older, the limit is {self.age_limit}"
        return ""
