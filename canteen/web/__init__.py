"""What every edge shares: doors, errors, security headers, filters, paging, days of forms, health."""
