from django.db import models

from agents.models.agent import Agent


class Memory(models.Model):
    """Something that an agent was asked to remember for one caller, and tells to no other."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="memories")
    scope = models.CharField(max_length=255, help_text="Whose it is: the key and the end user of the requests.")
    key = models.CharField(max_length=100, blank=True, help_text="Storing again under a key replaces the text.")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "memories"
        ordering = ["-updated_at", "-id"]
        indexes = [models.Index(fields=["agent", "scope", "updated_at"], name="memories_of_a_caller")]
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "scope", "key"], condition=~models.Q(key=""), name="one_memory_per_key"
            )
        ]

    def __str__(self) -> str:
        return self.key or self.text[:60]
