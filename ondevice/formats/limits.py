"""What is refused before anything is allocated (SPEC 1.3). Bytes unless the name says otherwise."""

KIB = 1 << 10
MIB = 1 << 20

SHARD = 64 * MIB  # plaintext of one shard
SEALED = SHARD + 4 * KIB  # the same with its header and 65 tags
MANIFEST = 16 * MIB
ITEM = 64 * KIB  # canonical JSON of one item, without its id
SPACE_HEAD = 256 * KIB  # `space.json`
ENVELOPE = 4 * MIB
INVITE = 1 * MIB

GROUP_ROWS = 1 << 15  # rows of one row group
ITEMS = 1 << 24  # items of one catalogue
GROUPS = 20_000  # row groups of one catalogue; 5 digits name them
TENSOR_ROWS = 1 << 24
DIMENSION = 4096  # columns of any matrix
RECIPIENTS = 20_000  # keys that one envelope wraps for
TENSORS = 64  # named arrays of a decoder network
QUALITY_ROWS = 256
VECTOR_SPACES = 8  # of one catalogue, beside its own

# Characters of texts.
ID = 256
TITLE = 1024
DESCRIPTION = 16_384
CATEGORY = 256
TAG = 128
TAGS = 64  # how many
URL = 2048
NOTICE = 8192
LICENCE = 256
