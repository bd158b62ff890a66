from django.core.exceptions import ValidationError


class SetupError(Exception):
    """What stands in the way, in one line for the administrator."""

    @classmethod
    def from_validation(cls, error: ValidationError) -> "SetupError":
        """Name each field that is wrong, as in `temperature: Ensure this value is less than or equal to 2.`"""
        places = error.message_dict.items()
        return cls(" ".join(f"{place}: {' '.join(messages)}" for place, messages in places))
