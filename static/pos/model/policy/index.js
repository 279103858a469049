// The rules on the tablet: a rulebook is loaded once from its canonical JSON and prices any number of meals.
//
// Each module is the twin of the Python module of its name in canteen/policy, and quotes to the same bytes.

export { canonical, digest, parse } from './canonical.js'
export { caseDoc, guest, readCase } from './case.js'
export { quote, wanted } from './quote.js'
export { Refused } from './refusals.js'
export { load } from './rulebook.js'
export { say } from './explanation.js'
