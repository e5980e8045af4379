"""Many agents in one world: PettingZoo environments, and a channel around them."""

from commenv.multiagent.bill import Bill
from commenv.multiagent.communication import CommunicationBudget
from commenv.multiagent.topology import links_of

__all__ = ["Bill", "CommunicationBudget", "links_of"]
