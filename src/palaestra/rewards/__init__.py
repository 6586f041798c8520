"""Preferences become rewards: how good a reply to a prompt is, learnt from how people ranked replies."""
