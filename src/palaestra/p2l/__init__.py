"""Votes with their prompts become a leaderboard for every prompt, and a router that goes by it."""
