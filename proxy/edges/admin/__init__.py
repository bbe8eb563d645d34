"""The admin API: application, admission, reading, answers, the one table of routes.

Not here: what a route does (handlers/, which routes.py and admin_app.py alone know).
"""
