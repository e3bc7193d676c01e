"""An analysis as text, JSON, CSV, JUnit and HTML. The same analysis gives the same bytes."""
