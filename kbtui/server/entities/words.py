"""Word lists that the rules for entities go by."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PERSON_TITLES: Final = _words(
    """
    Captain Dr King Lady Lord Mr Mrs Ms President Prof Professor Queen Sir
    """
)
"""What comes before a name of a person."""

GIVEN_NAMES: Final = _words(
    """
    Ada Alan Albert Alexander Alice Anna Anne Arthur Augustin Barbara Benjamin Charles
    Claude David Dorothy Edward Elizabeth Emily Ernest Florence Francis Frank Frederick
    George Grace Hans Helen Henri Henry Isaac Jack James Jane Jean John Joseph Karl
    Katherine Linus Louis Louise Margaret Maria Marie Mark Martin Mary Max Michael Nikola
    Paul Peter Pierre Richard Robert Rosalind Samuel Sarah Stephen Susan Thomas Tim Victor
    Walter William
    """
)
"""Given names common enough in English texts to show a person."""

ORGANISATION_ENDS: Final = _words(
    """
    Academy Agency Association Authority Bank Board Bureau Center Centre Club College
    Commission Committee Company Consortium Cooperative Corporation Council Department
    Foundation GmbH Group Guild Inc Institute Institution Laboratories Laboratory Labs
    League Limited Ltd Ministry Museum Network Office Organisation Organization Press School
    Service Society Trust Union University Works
    """
)
"""Words that names of organisations have."""

PLACE_ENDS: Final = _words(
    """
    Bay Bridge Canal Cape Channel City Coast County Desert Estuary Firth Forest Gulf Harbor
    Harbour Hill Hills Island Islands Isles Lake Mountain Mountains Ocean Park Peninsula
    Point Port Province Reef Ridge River Rock Rocks Sea Sound Strait Street Town Valley
    Village
    """
)
"""Words that names of places end with."""

PLACE_STARTS: Final = _words(
    """
    Cape East Fort Lake Mount North Port River South West
    """
)
"""Words that names of places begin with."""

COMMON: Final = _words(
    """
    a about above after again all almost along already also although always among an and
    another any april are as at august be because been before being below between both but
    by can chapter could december did do does during each early eight either enough even
    ever every example february few figure first five for four friday from further good had
    has have he her here his how however i if in indeed instead into is it its itself
    january july june just large last late later less like many march may may me might
    modern monday more most much must my near neither never new next nine no none nor not
    note nothing november now october of off often old on once one only onto or other others
    our out over own per perhaps rather same saturday second section see september seven
    several shall she should since six small so some soon still such sunday table ten than
    that the their them then there these they third this those though three through thursday
    thus to today today together too toward tuesday two under unlike until up upon us use
    very was we wednesday well were what when where whether which while who whose why will
    with within without would yes yet you your
    """
)
"""Words that are capitalised at the start of a sentence without being a name, lower case."""
