"""The shared web layer: doors, errors, security headers, filters, paging, days of forms, health."""
