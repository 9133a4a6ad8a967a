"""How large must it be for so many machines? The cloud side in virtual time, and what it costs."""
