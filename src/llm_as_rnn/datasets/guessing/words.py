"""Words in the names of columns, English and German, by what they say of a column."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOTHING = _words(
    "na n/a #n/a n.a. <na> nan -nan null (null) none nil void missing unknown unk ? ?? - -- --- \u2013 \u2014 . .. * "
    "k.a. unbekannt fehlt keine"
) | {"not available", "not applicable", "no data", "keine angabe"}
"""What people and programs write, in any case, for a value that is not there."""

OUTCOMES = _words(
    "outcome outcomes target label y result response next tomorrow future following churn churned class ergebnis "
    "ziel folge morgen ausgang"
)
"""Words in the names of columns that were made to be predicted."""

LIKELY = _words(
    "priority status state category type rating score price sales sold demand revenue amount value quantity count "
    "units qty visitors passengers riders orders consumption usage volume umsatz absatz menge betrag preis "
    "wert priorität kategorie queue team dept severity grade urgency temperature temp load species"
)
"""Words in the names of columns that people often want predicted."""

REMARKS = _words(
    "comment comments remark remarks note notes memo kommentar bemerkung bemerkungen notiz notizen hinweis"
)
"""Words in the names of columns that hold what somebody wanted to add."""

NEXT = _words("next tomorrow following future folge morgen")
"""Words of those that say: the value of the row after this one."""

SEQUENCES = _words(
    "sensor station patient customer user client device machine pump site store shop product item article sku dept "
    "account subject person player team plant meter vehicle kunde filiale gerät maschine artikel produkt werk "
    "symbol ticker region country city name series group"
)
"""Words in the names of columns that tell sequences apart."""

LATER = _words(
    "resolved resolution closed closing final finally actual after end ended next future outcome result decision "
    "decided duration refunded answered response feedback satisfaction csat nps paid settled completed finished "
    "cancelled canceled cancellation discharge solved fixed tomorrow erledigt gelöst abgeschlossen bezahlt ende "
    "dauer ergebnis lösung nachher antwort"
)
"""Words in the names of what is known when something is over."""

IDS = _words("id ids uuid guid nr nummer kennung")
"""Words in the names of columns that name things, be they rows or sequences."""

CODES = IDS | _words(
    "id ids nr no number num key uuid guid code index row ref reference nummer kennung rechnungsnr zeile lfd"
)
"""Words in the names of columns that name their rows."""

PLACES = _words(
    "t step steps time timestamp ts seq sequence order week month year day date hour visit period epoch round "
    "turn datum tag woche monat jahr uhrzeit zeit zeitpunkt"
)
"""Words in the names of columns that put rows in order."""
