"""What a broken invariant raises. Apart from the invariants, for a compiled class cannot be an exception."""


class Violation(AssertionError):
    """An invariant does not hold."""
