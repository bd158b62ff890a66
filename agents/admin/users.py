from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from agents.admin.formats import minute

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    """People who may use the web admin."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_active", "is_staff", "is_superuser", "logged_in"]
    autocomplete_fields = ["groups"]
    filter_horizontal = []
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Personal", {"fields": [("first_name", "last_name"), "email"]}),
        # What somebody may do comes from groups: permissions of one person alone are seen nowhere else.
        ("Permissions", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": [("logged_in", "joined")]}),
    ]
    readonly_fields = ["logged_in", "joined"]

    @display(description="Last login", ordering="last_login")
    def logged_in(self, user: User) -> str:
        return minute(user.last_login, empty="never")

    @display(description="Joined")
    def joined(self, user: User) -> str:
        return minute(user.date_joined)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):
    """Permissions that several people have."""
