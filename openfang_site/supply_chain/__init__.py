"""What this copy is made of: the packages it installs, the images it runs, and how both are pinned."""
