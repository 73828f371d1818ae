"""The thin application: command line, worker, embedded servers, settings, metrics, migrations."""
