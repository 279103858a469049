// Voids: who may void a sale, and the body of the record.

/** For so long a cashier may void an own sale without a manager. */
export const ALONE = 10 * 60 * 1000

export const REASONS = ['点错餐', '扫错卡', '重复收款', '不要了']

/**
 * Tell whether the cashier at the tablet may void a sale without a manager.
 * @param {{cashier: string, made: number}} sale  made: ms
 * @param {string} cashier
 * @param {number} now  ms
 */
export function mayAlone(sale, cashier, now) {
  const age = now - sale.made
  return sale.cashier === cashier && age >= 0 && age <= ALONE
}

/**
 * Return the body of the record.
 * @param {{id: string, sale: string, cashier: string, reason: string, fen: number,
 *   kind: 'cash' | 'mobile' | 'free', approval?: {approved_by: string, approval: string}}} what
 */
export function voidBody({ id, sale, cashier, reason, fen, kind, approval }) {
  return {
    id,
    sale,
    cashier,
    approved_by: approval?.approved_by ?? null,
    approval: approval?.approval ?? null,
    reason,
    refund: { kind: fen === 0 ? 'free' : kind, fen },
  }
}
