"""Screens: each is a pure function from a frozen status value to something rich can draw."""
