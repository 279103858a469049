// The shapes that travel between the server and the tablet. Amounts are whole fen.

/** @import {Run} from './ahead.js' */

/**
 * @typedef {{item: string, quantity: number}} Wanted
 * @typedef {{item: string, name: string, fen: number, quantity: number, tags: string[]}} Line
 * @typedef {{label: string, fen: number, [key: string]: unknown}} Share
 * @typedef {{list: number, due: number, shares: Share[], surcharges?: Share[], [key: string]: unknown}} Quote
 * @typedef {{title: string, initial: string, photo: string | null}} Diner
 * @typedef {'camera' | 'wedge' | 'typed' | 'none'} How
 *
 * @typedef {{elder: string | null, credential: string | null, diner: Diner | null, guest: string | null,
 *   lines: Line[], amount: number | null, quote: Quote, input: object, input_hash: string,
 *   rulebook: string, stamp: string | null, say: string, repeat: string}} QuotedSale
 * @typedef {{at: string, day: string, period: Period, flags: string[], sales: QuotedSale[]}} Quotes
 *
 * @typedef {'breakfast' | 'lunch' | 'dinner'} Period
 * @typedef {{id: string, name: string, fen: number, period: Period, tags: string[],
 *   sold_out?: boolean}} MenuItem
 * @typedef {{period: Period, starts: number, ends: number, grace: number}} Window  minutes of the day
 * @typedef {{id: string, name: string}} Named
 * @typedef {{id: string, name: string, profile: 'counter' | 'partner' | 'village', serving: boolean}} Canteen
 * @typedef {{incarnation: string, behind?: Run[] | null}} Contact
 *   behind  what the server lacks of the numbers that it acknowledged; a tablet that was shut out gets none
 * @typedef {Contact & {at: string, day: string, tablet: Named, canteen: Canteen, points: Named[],
 *   windows: Window[], menu: MenuItem[], cashiers: Named[], managers: Named[], lost?: Run[],
 *   record_key?: RecordKey, menu_version?: string, card?: string, contact_phone?: string}} Boot
 *   lost  runs of numbers that two people declared lost; missing in what a server of an earlier version answered
 *   record_key  to which records are encrypted; missing in what a server of an earlier version answered
 * @typedef {{id: string, point: string}} RecordKey
 *
 * @typedef {{kind: 'cash' | 'mobile' | 'free', fen: number, given: number, change: number,
 *   reference: string}} Tender
 * @typedef {'created' | 'have' | 'kept' | 'quarantined' | 'refused' | 'later'} Outcome
 * @typedef {{id: string, outcome: Outcome, sales?: string[], notices?: Notice[],
 *   reason?: string | null, message?: string | null}} Answer
 * @typedef {{sale: string, say: string}} Notice  what the server cannot claim of a sale, and what to do
 */

export {}
