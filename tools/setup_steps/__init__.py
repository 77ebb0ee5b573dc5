"""Parts of tools/setup_venv.py; standard library only."""
