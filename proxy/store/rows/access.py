"""Rows <-> tokens, protections and proposals: who may change what, and what waits for a second person.

Column tables as in rows/values.py, and shared by every SQL store in the same way.
"""

from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.protection import Protection
from proxy.core.tokens import Token
from proxy.store.rows.columns import FLAG, JSON_LIST, ColumnTable, Kept, json_text, loaded_json

TOKENS = ColumnTable(Token)
PROTECTIONS = ColumnTable(Protection, evaluation_required=FLAG, approval_required=FLAG)
PROPOSALS = ColumnTable(Proposal, order=Kept(json_text, loaded_json, column="orders"), evidence=JSON_LIST)
