"""The closed word lists of the domain; knows no rule."""

from typing import Final

TOLL_FREE: Final = "toll_free"
TOLL: Final = "toll"
VOIP: Final = "voip"
CALL_ME: Final = "call_me"
KINDS: Final = (TOLL_FREE, TOLL, VOIP, CALL_ME)
CHARGED_KINDS: Final = (TOLL_FREE, CALL_ME)

BILLABLE: Final = "billable"
NOT_ADMITTED: Final = "not_admitted"
NOT_ACCEPTED: Final = "not_accepted"
NOT_ANSWERED: Final = "not_answered"
NEVER_STARTED: Final = "never_started"
CARRIER_BILLED: Final = "carrier_billed"
INCLUDED: Final = "included"
REASONS: Final = (
    BILLABLE,
    NOT_ADMITTED,
    NOT_ACCEPTED,
    NOT_ANSWERED,
    NEVER_STARTED,
    CARRIER_BILLED,
    INCLUDED,
)
"""Why a leg is charged or not (D5)."""

INTERSTATE: Final = "interstate"
INTRASTATE: Final = "intrastate"
INTERNATIONAL: Final = "international"
UNKNOWN: Final = "unknown"
JURISDICTIONS: Final = (INTERSTATE, INTRASTATE, INTERNATIONAL, UNKNOWN)

PRODUCTS: Final = ("integrated", "ovi", "openvoice")
LANGUAGES: Final = ("en", "fr", "it", "de", "es", "pt", "nl")
"""R19."""

_COUNTRIES_TEXT: Final = (
    "AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ "
    "BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CP CR CU CV CW CX CY CZ DE DG DJ DK "
    "DM DO DZ EA EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR "
    "GS GT GU GW GY HK HM HN HR HT HU IC ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM "
    "KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
    "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN "
    "PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY "
    "SZ TA TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU "
    "WF WS XK YE YT ZA ZM ZW"
)
COUNTRIES: Final = frozenset(_COUNTRIES_TEXT.split())
"""ISO 3166-1 alpha-2, with the few more that libphonenumber and CLDR know."""
