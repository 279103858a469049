"""The shared web layer: doors, errors, security headers, filters, days of forms, health."""
