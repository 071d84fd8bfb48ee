"""What the name of a column says of it. A name alone decides nothing that its values do not allow."""

import re

_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_LABELS = (
    "is fraud", "fraud", "fraud flag", "isfraud", "tx fraud", "fraud label", "fraudulent", "is fraudulent",
    "fraud reported", "fraud found", "fraud found p", "fraud bool", "chargeback", "is chargeback", "label", "class",
    "target",
)  # fmt: skip
_SAVED_INDEX = re.compile(r"(unnamed \d+|index|level \d+|row|row ?(number|num|no|nr|id))?")
_ID = re.compile(
    r"(.* )?(id|uuid|guid|key)|(.* )?(trans(action)?|tx|order|payment|ref(erence)?) (num|number|no|nr|ref|hash)"
)
_EVENT_ID = re.compile(r"(.* )?(trans(action)?|tx|trx|order|payment|event|authori[sz]ation|auth)( .*)?")
_KEY = re.compile(
    r"(.* )?(card|cc|pan|iban|customers?|clients?|accounts?|acct|terminals?|merchants?|device|users?|payers?|payees?|"
    r"sender|receiver|orig|dest|email|phone|ip|wallet|holder|member)( .*)?"
)
_IDENTIFIES = re.compile(
    r"(.* )?(id|num|number|no|nr|hash|key|token|uuid|email|phone|ip|iban|pan|orig|dest|konto|kennung|[a-z]*nummer)"
)
_CODE = re.compile(
    r"(.* )?(number|num|no|nr|id|code|cd|mcc|sic|naics|bin|zip|zipcode|plz|postal|postcode|type|class|cat|category|"
    r"region|branch|channel|status)"
)
_SURELY_CODE = re.compile(r"(.* )?(zip|zipcode|plz|postal|postcode|mcc|sic|naics|bin)( code)?")
_PLACE = re.compile(r"(.* )?(zip|zipcode|plz|postleitzahl|postal|postcode|mcc|sic|naics|bin|code|cd)( .*)?")
_AMOUNT = re.compile(r"(.* )?(amounts?|amt|betrag|price|value|total|sum|montant|importe|valor|bedrag)( .*)?")
_NOT_NEGATIVE = re.compile(
    r"(.* )?(amounts?|amt|price|age|ages|count|counts|quantity|qty|days|hours|months|years|minutes|seconds|distance|"
    r"duration|attempts|items)( .*)?|(n|nr|no|num|number|nb|numberof) .*"
)
_TIME = re.compile(r"(.* )?(time|date|datetime|timestamp|ts|dt|at|when|seconds|epoch|moment|unix ?time)( .*)?")
_OTHER_TIME = re.compile(
    r"(.* )?(birth|dob|born|expir[a-z]*|expiry|since|opened|open|created|signup|registered|updated|closed|due|"
    r"reported|resolved)( .*)?"
)


def words(name: str) -> str:
    """The words of a name in lower case: ``is fraud`` of ``isFraud`` and of ``IS_FRAUD``."""
    return _NOT_LETTERS.sub(" ", _CAMEL.sub(" ", name).lower()).strip()


def label_rank(name: str) -> int | None:
    """How much a name sounds like a label: 0 is most; None for not at all."""
    said = words(name)
    return _LABELS.index(said) if said in _LABELS else None


def is_saved_index(name: str) -> bool:
    """As pandas names the index of a table that was written with it."""
    return _SAVED_INDEX.fullmatch(words(name)) is not None


def is_id(name: str) -> bool:
    """As people name what tells one row from all others."""
    return _ID.fullmatch(words(name)) is not None


def is_event_id(name: str) -> bool:
    """An id that is the transaction's own."""
    return is_id(name) and _EVENT_ID.fullmatch(words(name)) is not None


def is_key(name: str) -> bool:
    """As people name whose transaction it is, or where it was made."""
    return _KEY.fullmatch(words(name)) is not None


def identifies(name: str) -> bool:
    """Whether the name ends as that of an identifier."""
    return _IDENTIFIES.fullmatch(words(name)) is not None


def is_code(name: str) -> bool:
    """Whether numbers of this name stand for things rather than quantities."""
    said = words(name)
    return _CODE.fullmatch(said) is not None and not said.startswith(("number of", "num of", "no of"))


def is_surely_code(name: str) -> bool:
    """Whether numbers of this name can be nothing but codes."""
    return _SURELY_CODE.fullmatch(words(name)) is not None


def is_place_or_code(name: str) -> bool:
    """Whether texts of this name say where, or of which sort, rather than who."""
    return _PLACE.fullmatch(words(name)) is not None


def amount_rank(name: str) -> int | None:
    """How much a name sounds like the amount of the transaction: 0 is most; None for not at all."""
    said = words(name)
    if _AMOUNT.fullmatch(said) is None:
        return None
    return 0 if re.search(r"\bam(oun)?t\b|betrag", said) else 1


def is_never_negative(name: str) -> bool:
    """Amounts, counts, ages."""
    return _NOT_NEGATIVE.fullmatch(words(name)) is not None


def is_time(name: str) -> bool:
    """As people name points of time."""
    return _TIME.fullmatch(words(name)) is not None


def is_other_time(name: str) -> bool:
    """A point of time other than that of the transaction."""
    return _OTHER_TIME.fullmatch(words(name)) is not None
