from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from agents.models.agent import Agent
from agents.models.api_key import ApiKey
from agents.models.money import PICO
from agents.models.served import Served, ServedQuerySet


class Period(models.TextChoices):
    """A budget begins anew with each UTC day or month."""

    DAY = "day", "Day"
    MONTH = "month", "Month"

    def start(self, moment: datetime) -> datetime:
        midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Period.DAY else midnight.replace(day=1)

    def end(self, start: datetime) -> datetime:
        if self is Period.DAY:
            return start + timedelta(days=1)
        return (start + timedelta(days=32)).replace(day=1)


class Unit(models.TextChoices):
    USD = "usd", "US dollars"
    TOKENS = "tokens", "Tokens"

    def stored(self, amount: Decimal) -> int:
        """Return an amount as the database counts it: whole picodollars, or tokens."""
        return int(amount * PICO) if self is Unit.USD else int(amount)

    def checked(self, amount: Decimal) -> int:
        """Return an amount that somebody has entered as the database counts it. Raises ValidationError."""
        if amount > self.most:
            raise ValidationError(f"At most {self.most}.")
        if self is Unit.TOKENS and amount != amount.to_integral_value():
            raise ValidationError("Tokens are whole.")
        return self.stored(amount)

    @property
    def most(self) -> Decimal:
        """The largest amount that fits the database, rounded down."""
        return Decimal(9 * 10**6 if self is Unit.USD else 9 * 10**18)

    def shown(self, stored: int) -> Decimal:
        return Decimal(stored) / PICO if self is Unit.USD else Decimal(stored)


class BudgetQuerySet(ServedQuerySet["Budget"]):
    def with_current_period(self) -> "BudgetQuerySet":
        """Read the period that runs now along with each budget, for `Budget.now`."""
        running = BudgetPeriod.objects.filter(start__in={period.start(timezone.now()) for period in Period})
        return self.prefetch_related(models.Prefetch("periods", running, to_attr="running"))


class Budget(Served):
    """What a key, an agent, or with neither of them the whole server may use up in a day or a month."""

    api_key = models.ForeignKey(
        ApiKey, on_delete=models.CASCADE, null=True, blank=True, related_name="budgets", verbose_name="API key"
    )
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, blank=True, related_name="budgets")
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.MONTH)
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.USD)
    limit = models.PositiveBigIntegerField(help_text="In picodollars or tokens.")
    warn_percent = models.PositiveSmallIntegerField(
        "warn at",
        default=80,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Percent of the limit at which a warning is sent, once a period.",
    )

    objects = BudgetQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(api_key=None) | Q(agent=None),
                name="a_budget_is_of_one",
                violation_error_message="A budget is of a key or of an agent, not of both.",
            ),
            models.UniqueConstraint(
                F("api_key"), F("period"), F("unit"), condition=Q(api_key__isnull=False), name="one_budget_a_key"
            ),
            models.UniqueConstraint(
                F("agent"), F("period"), F("unit"), condition=Q(agent__isnull=False), name="one_budget_an_agent"
            ),
            models.UniqueConstraint(
                F("period"), F("unit"), condition=Q(api_key=None, agent=None), name="one_budget_of_the_server"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.whose}, {self.get_period_display().lower()}, {self.get_unit_display()}"

    @property
    def now(self) -> "BudgetPeriod":
        """Return the period that runs now; one of nothing before its first request."""
        start = Period(self.period).start(timezone.now())
        known = self.running if hasattr(self, "running") else self.periods.filter(start=start)
        return next((row for row in known if row.start == start), BudgetPeriod(budget=self, start=start))

    @property
    def whose(self) -> str:
        if self.api_key is not None:
            return f"the key '{self.api_key.name}'"
        return f"the agent '{self.agent.name}'" if self.agent is not None else "this server"


class BudgetPeriod(models.Model):
    """What is spent of a budget in one period, and what the runs under way have reserved; in the budget's unit.

    `assumed` is the part of `spent` for which a price was unknown, and another stood in.
    """

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="periods")
    start = models.DateTimeField()
    spent = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    assumed = models.BigIntegerField(default=0)
    warned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-start"]
        constraints = [models.UniqueConstraint(fields=["budget", "start"], name="one_row_a_period")]

    def __str__(self) -> str:
        return f"{self.budget} from {self.start:%Y-%m-%d}"


class Reservation(models.Model):
    """What one run under way holds of a budget; gone when the run is closed, or lost with its process.

    `least` counts as spent if the run is lost: the prompt that its provider may have received.
    """

    record_id = models.UUIDField("record ID", help_text="The run's usage row.")
    budget_period = models.ForeignKey(BudgetPeriod, on_delete=models.CASCADE, related_name="reservations")
    amount = models.BigIntegerField()
    least = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record_id", "budget_period"], name="one_reservation_a_budget")]

    def __str__(self) -> str:
        return f"{self.amount} for {self.record_id}"
