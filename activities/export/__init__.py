"""Handing documents and notices to other systems, with a receipt kept here."""
