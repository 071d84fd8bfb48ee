"""What reads transactions of the default schema, for tests."""

from fraud.rows import together
from fraud.schema import default
from serving.contract.contract import Contract
from serving.decode import Decoder

CONTRACT = Contract(default(), {})
Transaction = CONTRACT.transaction
DECODER = Decoder(CONTRACT)
decode_one, parse_many = DECODER.decode_one, DECODER.parse_many


def parse_one(body):
    """As a batch of one."""
    return together([DECODER.parse_one(body)])
