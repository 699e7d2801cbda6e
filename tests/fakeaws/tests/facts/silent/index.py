"""A function whose reports do not arrive."""


def handler(_event, _context):
    pass
