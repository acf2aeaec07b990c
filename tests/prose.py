"""The words of the generated test documents: sections under "##", pages parted by "---"."""

TIDAL = """\
## Tidal energy

The tide is the most predictable of all renewable sources. The positions of the moon and the sun
are known for centuries ahead, and so is the height of the sea at any harbour. What is hard is
to take energy out of salt water for twenty-five years without the machine being eaten by it.

## Tidal barrages

A tidal barrage is a dam across an estuary. Sluices let the flood tide in, the gates close at
high water, and the basin is emptied through turbines when the sea outside has fallen. The Rance
Tidal Power Station near Saint-Malo has worked this way since 1966 and produces about 500
gigawatt hours a year.

The Sihwa Lake Tidal Power Station in South Korea is the largest of its kind. It was built in
2011 into a sea wall that already existed, which spared most of the cost, and its 254 megawatts
come from ten bulb turbines.

Barrages change the estuary behind them. Mud flats that used to dry twice a day stay under
water, and wading birds lose their feeding grounds. The Severn Estuary has been studied since
1849 and no barrage has been built there.

---

## Tidal stream turbines

A tidal stream turbine (TST) is a machine that stands in the current like a wind turbine under
water. Sea water is 830 times denser than air, so a rotor of eighteen metres in a current of
three metres a second delivers a megawatt.

The MeyGen project in the Pentland Firth put four such turbines on the sea bed in 2016. Each TST
uses a pitch system that turns the blades through half a circle at slack water, so that it works
on the ebb as well as on the flood.

The European Marine Energy Centre (EMEC) in Orkney tests full-size machines. EMEC supplies power
to the islands and makes hydrogen from what the cable cannot carry away.

---

## Corrosion and biofouling

Barnacles settle on a blade within weeks and can cost a tenth of its output. Paint that releases
copper keeps them off but poisons the water; silicone coatings are so slippery that the current
washes larvae away.

Seals are the weak point. A gearbox that leaks a litre of sea water is lost, so several designs
do without a gearbox and use a slow generator with permanent magnets instead.

## Cost

In 2023 the United Kingdom awarded tidal stream projects a price of 198 pounds a megawatt hour,
four times the price of offshore wind. Every doubling of the installed capacity has lowered the
cost by about fifteen per cent, and the Offshore Renewable Energy Catapult expects parity by
2040.
"""
"""A PDF of three pages."""

BEES = """\
## The colony

A honey bee colony is a superorganism. In June it has one queen, some forty thousand workers and
a few hundred drones, and none of them can live alone for long.

The queen lays up to two thousand eggs a day. Workers that hatch in spring live six weeks; those
that hatch in autumn live six months, because they raise no brood.

## The hive

Lorenzo Langstroth noticed in 1851 that bees leave a gap of six to nine millimetres free of
comb. This bee space made the movable frame possible, and the Langstroth Hive is still the most
common hive in the world.

The British Beekeepers Association (BBKA) recommends the National Hive for beginners. The BBKA
trains beekeepers at the apiary in Stoneleigh Park.

## Swarming

In May the old queen may leave with half of the workers. They hang in a tree for a day or two
while scouts look for a hollow, and the scouts argue by dancing: the better the place, the
longer the waggle dance.

Karl von Frisch discovered the meaning of the waggle dance and won the Nobel Prize for it in
1973. The angle of the run to the vertical is the angle of the food to the sun.

## Varroa

Varroa destructor is a mite that feeds on the fat body of the bee and carries the deformed wing
virus. An untreated colony dies within two or three winters.

Oxalic acid is trickled between the frames in December, when there is no brood for the mites to
hide in. Thymol is used in August, after the honey has been taken.
"""
"""A Word document."""
