"""What can happen to the history of test_verify: a check, the damage that it finds, what it says."""

ONE_CENT = """
    update posting set amount_minor = amount_minor + 1
    where account = '1200' and group_id = (
        select id from journal_group where key = 'eng.L1.milestone.M1:evaluate:E01:project'
    )
"""

TEN_TIMES = (
    "update invoice_line set {0}_minor = {0}_minor * 10 where number = 'TEST-QM-CN-2025-000001'"
)

DAMAGES = [
    (
        "groups-balance",
        ONE_CENT,
        "found debit 360000.01 and credit 360000.00 CNY in the money ledger, expected equal sums",
    ),
    (
        "groups-balance",
        """
        delete from posting where group_id = (
            select id from journal_group where key = 'eng.L1.bet.B1:place:E14'
        )
        """,
        "found no postings, expected some",
    ),
    (
        "groups-unaltered",
        "update posting set fee = 'micro' where invoice = 'QM-INV-2024-000002'",
        "eng.L1.milestone.M1:bill:E02 (group",
    ),
    (
        "trial-balance",
        ONE_CENT,
        "live book, money ledger: found a difference in CNY of 0.01, expected 0.00",
    ),
    (
        "accounts-not-negative",
        "delete from posting where group_id in (select id from journal_group where code = 'E14')",
        "engagement L1, account M40 Stake open, not invoiced, eng.L1.hold.HB1: "
        "found -540000.00 CNY, expected 0 or more",
    ),
    (
        "accounts-not-negative",
        """
        update posting set invoice = 'TEST-QM-INV-2025-000001'
        where invoice = 'TEST-QM-INV-2025-000002' and account = '1120' and side = 'C'
        """,
        "engagement W1, account 1120 Receivable, withheld, TEST-QM-INV-2025-000001: "
        "found -572400.00 CNY, expected 0 or more",
    ),
    (
        "documents-add-up",
        "update invoice_line set net_minor = net_minor + 1 where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found lines of together 360000.01, expected 360000.00",
    ),
    (
        "documents-add-up",
        "delete from invoice_line where number = 'QM-INV-2025-000002' and line = 2",
        "QM-INV-2025-000002: found lines of together 216000.00, expected 251996.40",
    ),
    (
        "documents-add-up",
        """
        update invoice set tax_minor = tax_minor + 1, gross_minor = gross_minor + 1
        where number = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002: found tax of lines of together 21600.00, expected 21600.01",
    ),
    (
        "claims-in-ledger",
        """
        update posting set invoice = 'QM-INV-2024-000003'
        where invoice = 'QM-INV-2024-000002' and account = '1100'
        """,
        "QM-INV-2024-000002: found nothing, expected the gross without the advance, 381600.00",
    ),
    (
        "tax-by-rate",
        "update invoice_tax set tax_minor = tax_minor + 1 where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002 CN-VAT-6 3/50: found tax on lines 2160000, expected 2160001",
    ),
    (
        "tax-by-rate",
        """
        update invoice_tax set tax_minor = tax_minor + 1 where number = 'QM-INV-2024-000002';
        update invoice_line set tax_minor = tax_minor + 1 where number = 'QM-INV-2024-000002'
        """,
        "found tax 2160001 minor units, expected 3/50 of what is taxed, 2160000.00",
    ),
    (
        "tax-by-rate",
        "delete from invoice_tax where number = 'QM-INV-2024-000002'",
        "found lines or a group alone, expected both",
    ),
    (
        "tax-by-rate",
        "update invoice_line set tax_minor = -tax_minor where number = 'QM-INV-2024-000002'",
        "found tax -2160000 on 36000000, expected it on the same side of 0",
    ),
    (
        "retained-and-withheld",
        "update invoice set withheld_minor = 1 where number = 'TEST-QM-INV-2025-000002'",
        "TEST-QM-INV-2025-000002: found withheld 572400.00, expected 0.01",
    ),
    (
        "credits-in-ledger",
        "delete from invoice where number = 'TEST-QM-CN-2026-000001'",
        "TEST-QM-INV-2025-000002: found credited 228961.43, expected 76323.82",
    ),
    (
        "credits-within-invoice",
        TEN_TIMES.format("net"),
        "TEST-QM-INV-2025-000002: found net 864033.75 credited, expected at most 540000.00",
    ),
    (
        "credits-within-invoice",
        TEN_TIMES.format("tax"),
        "TEST-QM-INV-2025-000002: found tax 51842.06 credited, expected at most 32400.00",
    ),
    (
        "credits-within-rate",
        TEN_TIMES.format("tax"),
        "TEST-QM-INV-2025-000002 CN-VAT-6 3/50: found tax 51842.06 credited, "
        "expected at most 32400.00",
    ),
    (
        "credits-within-line",
        TEN_TIMES.format("net"),
        "TEST-QM-INV-2025-000002/1: found net 864033.75 credited, expected at most 540000.00",
    ),
    (
        "credits-within-line",
        "update invoice_line set net_minor = 21600135 where number = 'TEST-QM-INV-2025-000002'",
        "TEST-QM-INV-2025-000002/1: found tax credited 12960.08, expected 32400.00",
    ),
    (
        "numbers-without-gap",
        "delete from invoice where number in ('QM-INV-2024-000002', 'QM-INV-2024-000003')",
        "QM-INV of 2024: found none from QM-INV-2024-000002 to QM-INV-2024-000003, expected no gap",
    ),
    (
        "numbers-without-gap",
        "delete from invoice where number = 'QM-INV-2026-000001'",
        "QM-INV of 2026: found the last number QM-INV-2026-000000, expected QM-INV-2026-000001",
    ),
    (
        "numbers-without-gap",
        "delete from invoice_series where series = 'QM-INV' and year = 2026",
        "QM-INV of 2026: found the last number QM-INV-2026-000001, expected QM-INV-2026-000000",
    ),
    (
        "numbers-without-gap",
        """
        alter table invoice drop constraint invoice_series_year_sequence_key;
        update invoice set sequence = 2 where number = 'QM-INV-2024-000003'
        """,
        "QM-INV of 2024: found QM-INV-2024-000002 twice, expected it once",
    ),
    (
        "numbers-in-order",
        """
        with taken as (delete from outbox where key = 'QM-INV-2024-000001' returning *)
        insert into outbox (key, kind, book, engagement_id, payload)
        select key, kind, book, engagement_id, payload from taken
        """,
        "QM-INV-2024-000002: found it issued before QM-INV-2024-000001, expected after",
    ),
    (
        "numbers-in-order",
        "update invoice set number = 'QM-INV-2024-2' where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-2: found the number QM-INV-2024-2, expected QM-INV-2024-000002",
    ),
    (
        "numbers-in-order",
        "update invoice set issued_on = '2023-12-31' where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found the year of issue 2023, expected 2024",
    ),
    (
        "claims-billed-once",
        """
        alter table invoice_line drop constraint invoice_line_claim_key;
        update invoice_line set claim = 'eng.L1.milestone.M1' where number = 'QM-INV-2024-000003'
        """,
        "eng.L1.milestone.M1: found QM-INV-2024-000002/1, QM-INV-2024-000003/1, expected one line",
    ),
    (
        "documents-sent",
        "delete from outbox where key = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found no message in the outbox, expected one",
    ),
    (
        "documents-sent",
        """
        update outbox set payload = jsonb_set(payload, '{gross}', '"381600.01"')
        where key = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002: found a message with gross 381600.01, expected 381600.00",
    ),
    (
        "holds-within-placed",
        """
        update hold_movement set amount_minor = 54000000
        where hold_id = 'eng.H1.hold.HB1' and movement = 'released'
        """,
        "eng.H1.hold.HB1: found -72003.60 held, expected 0 or more",
    ),
    (
        "holds-within-placed",
        "delete from hold_movement where hold_id = 'eng.H1.hold.HB1'",
        "eng.H1.hold.HB1: found 0 placements, expected one",
    ),
    (
        "holds-in-ledger",
        "update hold_movement set amount_minor = amount_minor - 1 where movement = 'placed'",
        "eng.H1.hold.HB1: found withheld 228960.00, expected 228959.99",
    ),
    (
        "holds-in-ledger",
        """
        update hold_movement set amount_minor = amount_minor - 1
        where hold_id = 'eng.L1.hold.HB1' and movement = 'forfeited' and key like '%W6%'
        """,
        "eng.L1.hold.HB1: found stake 0.00, expected 0.01",
    ),
    (
        "decisions-on-record",
        "delete from decision_record where key = 'eng.L1.bet.B1:W6:forfeit'",
        "eng.L1.bet.B1:W6:forfeit: found the movement forfeited and the decision None, "
        "expected both alike",
    ),
    (
        "decisions-on-record",
        """
        update decision_record set amount_minor = amount_minor - 1
        where key = 'eng.L1.bet.B1:W6:forfeit'
        """,
        "eng.L1.bet.B1:W6:forfeit: found decided 72003.59, expected 72003.60",
    ),
    (
        "decisions-on-record",
        """
        update hold_movement set amount_minor = amount_minor - 1
        where key = 'eng.L1.bet.B1:W6:forfeit'
        """,
        "eng.L1.bet.B1:W6:forfeit: found moved 72003.59, expected 72003.60",
    ),
    (
        "decisions-on-record",
        "delete from verdict where key = 'eng.L1.bet.B1:W6:verdict'",
        "eng.L1.bet.B1:W6:release: found no verdict, expected the one that decided",
    ),
    (
        "verdicts-recompute",
        """
        update reading set value = 86.25
        where engagement_id = 'L1' and indicator = 'ka-dso-days'
        """,
        "eng.L1.bet.B1:W6:verdict: found the verdict win-rate-count released 216000.00 forfeited "
        "0.00, ka-dso-days released 35996.40 forfeited 72003.60, expected win-rate-count released "
        "216000.00 forfeited 0.00, ka-dso-days released 54000.00 forfeited 54000.00",
    ),
    (
        "verdicts-recompute",
        "update reading set evidence = 'another' where engagement_id = 'L1'",
        "eng.L1.bet.B1:W12:verdict: found an explanation with digest",
    ),
    (
        "verdicts-recompute",
        "delete from reading where engagement_id = 'L1' and indicator = 'ka-dso-days'",
        "eng.L1.bet.B1:W6:verdict: found no reading of ka-dso-days that counts, expected one",
    ),
    (
        "verdicts-recompute",
        """
        update verdict set result = '{"verdict": 1}' where key = 'eng.L1.bet.B1:W6:verdict'
        """,
        "eng.L1.bet.B1:W6:verdict: found what cannot be read (1 validation error for Assessed",
    ),
    (
        "verdicts-recompute",
        "update reading set value = 95 where engagement_id = 'H1' and measured_on < '2025-05-01'",
        "eng.H1.bet.B1:W3:trend: found trends ka-average-output INSUFFICIENT_DATA, ka-dso-days "
        "IMPROVING, win-rate-count INSUFFICIENT_DATA, expected ka-average-output "
        "INSUFFICIENT_DATA, ka-dso-days FLAT, win-rate-count INSUFFICIENT_DATA",
    ),
    (
        "retained-and-withheld",
        "update invoice set advance_minor = advance_minor + 1 where number = 'QM-INV-2024-000017'",
        "found advance",
    ),
    (
        "advances-in-ledger",
        "update invoice set advance_minor = advance_minor + 1 where number = 'QM-INV-2024-000017'",
        "QM-INV-2024-000015: found left 0.00, expected -0.01",
    ),
    (
        "advances-in-ledger",
        """
        update invoice set advance_minor = advance_minor + 1, advance_tax_minor = advance_tax_minor + 1
        where number = 'QM-INV-2024-000017'
        """,
        "QM-INV-2024-000015: found 0.01 more tax deducted and credited than invoiced",
    ),
    (
        "retention-to-date",
        """
        update invoice set retained_minor = retained_minor - 1
        where engagement_id = 'R1' and retained_minor > 0
        """,
        "engagement R1: found retained",
    ),
    (
        "holds-within-placed",
        "update approval_request set amount_minor = 8666668 where request_id = 'eng.K1.request.R2'",
        "eng.K1.hold.H2: found 86666.68 reserved, expected at most the 86666.67 held",
    ),
    (
        "holds-within-placed",
        "update hold set state = 'settled' where hold_id = 'eng.K1.hold.H2'",
        "eng.K1.hold.H2: found settled: True, expected False",
    ),
    (
        "holds-tax-by-parts",
        "update hold_movement set tax_minor = tax_minor + 1 where key = 'eng.K1.hold.H2:decide:R1'",
        "eng.K1.hold.H2: found tax of eng.K1.hold.H2:decide:R1 2000.01, expected 2000.00",
    ),
    (
        "decisions-on-record",
        "update decision_record set request_id = null where key = 'eng.K1.hold.H2:decide:R1'",
        "eng.K1.hold.H2:decide:R1: found no request, expected the one that was approved",
    ),
    (
        "decisions-on-record",
        "update approval_request set state = 'expired' where request_id = 'eng.K1.request.R1'",
        "eng.K1.hold.H2:decide:R1: found the request expired, expected approved",
    ),
    (
        "decisions-on-record",
        "update decision_record set decided_by = 'sun.hao' where key = 'eng.K1.hold.H2:decide:R1'",
        "eng.K1.hold.H2:decide:R1: found decided by sun.hao, expected gao.feng, li.wei",
    ),
    (
        "decisions-on-record",
        """
        update approval_request set amount_minor = amount_minor + 1
        where request_id = 'eng.K1.request.R1'
        """,
        "eng.K1.hold.H2:decide:R1: found moved 33333.33, expected 33333.34",
    ),
    (
        "caps-kept",
        """
        update posting set amount_minor = 1 where account in ('M10', 'M19') and item = 'gain_share:GS1'
        """,
        "K1: found gain_share:GS1 reserved and billed 85000.00, expected at most 0.01",
    ),
    (
        "caps-authorised",
        """
        update posting set amount_minor = 1 where account in ('M10', 'M19') and item = 'gain_share:GS1'
        """,
        "K1: found gain_share:GS1 authorised 0.01, expected 250000.00",
    ),
    (
        "caps-billed",
        """
        update invoice_line set net_minor = net_minor + 1 where number = (
            select document from approval_request where request_id = 'eng.K1.request.gain-2025-Q1'
        )
        """,
        "K1: found gain_share:GS1 billed 80000.00, expected 80000.01",
    ),
    (
        "caps-reserved",
        """
        update approval_request set state = 'expired', decided_at = now()
        where request_id = 'eng.K1.request.gain-2025-Q3'
        """,
        "K1: found gain_share:GS1 reserved 5000.00, expected 0.00",
    ),
    (
        "gain-share-true-ups",
        "update gain_share set benefit_minor = benefit_minor + 100 where period = '2025-Q1'",
        "K1: found benefit to date 900000.00, expected 900001.00",
    ),
    (
        "gain-share-true-ups",
        "update gain_share set amount_minor = amount_minor + 1 where period = '2025-Q1'",
        "K1: found true-ups of together 80000.01, expected 80000.00",
    ),
    (
        "gain-share-true-ups",
        "update gain_share set fee_to_date_minor = 1 where period = '2025-Q2'",
        "K1: found fee to date 0.01, expected 80000.00",
    ),
    (
        "gain-share-true-ups",
        "update gain_share set engagement_id = 'L1'",
        "L1: found reports of a benefit, expected a contract with a gain share",
    ),
    (
        "service-credits-within-limit",
        """
        update approval_request set amount_minor = 3600201 where request_id = 'eng.K1.request.SC1'
        """,
        "K1: found 36002.01 granted, expected at most 36000.00",
    ),
    (
        "approvals-distinct",
        """
        delete from approval_signature where request_id = 'eng.K1.request.C1' and person = 'li.wei'
        """,
        "eng.K1.request.C1: found 1 signatures, expected 2",
    ),
    (
        "approvals-distinct",
        """
        update approval_request set decided_by = 'gao.feng, sun.hao'
        where request_id = 'eng.K1.request.C1'
        """,
        "eng.K1.request.C1: found decided by ['gao.feng', 'sun.hao'], expected ['gao.feng', "
        "'li.wei']",
    ),
    (
        "approvals-distinct",
        """
        update approval_request set requested_by = 'gao.feng' where request_id = 'eng.K1.request.C1'
        """,
        "eng.K1.request.C1: found it signed by gao.feng, who asked for it",
    ),
    (
        "approvals-distinct",
        """
        update approval_signature set person = 'zhao.min'
        where request_id = 'eng.K1.request.C1' and person = 'li.wei';
        update event set actor = 'zhao.min' where actor = 'li.wei';
        """,
        "eng.K1.request.C1: found it signed by zhao.min, expected people with that authority",
    ),
    (
        "approvals-distinct",
        "delete from event where type = 'approval.signed' and actor = 'li.wei'",
        "eng.K1.request.C1: found it asked for or signed without an event, expected one of each",
    ),
    (
        "approvals-distinct",
        "update approval_signature set digest = 'another' where request_id = 'eng.K1.request.C1'",
        "eng.K1.request.C1: found a signature of another, expected ",
    ),
    (
        "approvals-distinct",
        """
        update approval_request set payload = payload || '{"reason": "another"}'
        where request_id = 'eng.K1.request.C1'
        """,
        "eng.K1.request.C1: found a payload with digest ",
    ),
    (
        "approvals-distinct",
        "update approval_request set needed = 1 where request_id = 'eng.K1.request.C1'",
        "eng.K1.request.C1: found signatures needed 1, expected 2",
    ),
    (
        "approvals-distinct",
        "update approval_request set decided_by = 'policy:AP9' where decided_by = 'policy:AP1'",
        "eng.L1.request.HB1-W6-release: found policy 'AP9', expected one that covers release",
    ),
    (
        "approvals-distinct",
        """
        update approval_request set decided_by = 'policy:AP1' where request_id = 'eng.K1.request.C1'
        """,
        "eng.K1.request.C1: found policy 'AP1', expected one that covers credit",
    ),
    (
        "approvals-distinct",
        """
        update approval_request set decided_by = 'clause:8.3' where request_id = 'eng.K1.request.C1'
        """,
        "eng.K1.request.C1: found signatures needed 2, expected 0",
    ),
    (
        "approvals-carried-out",
        "delete from effect where key = 'eng.K1.credit.C1'",
        "eng.K1.request.C1: found effect eng.K1.credit.C1 with digest None, expected ",
    ),
    (
        "approvals-carried-out",
        "update approval_request set state = 'rejected' where request_id = 'eng.K1.request.C1'",
        "eng.K1.request.C1: found effect eng.K1.credit.C1 with digest ",
    ),
    (
        "changes-agreed",
        """
        delete from approval_signature where request_id = 'eng.K1.request.CO1' and person = 'gao.feng'
        """,
        "eng.K1.change.CO1: found no signature of HD, expected one",
    ),
    (
        "changes-agreed",
        "update approval_request set state = 'expired' where request_id = 'eng.K1.request.CO1'",
        "eng.K1.change.CO1: found a request that is expired, expected approved",
    ),
    (
        "changes-agreed",
        "update change_order set digest = 'another'",
        "eng.K1.change.CO1: found a signature of ",
    ),
    (
        "changes-agreed",
        """
        update contract_version set digest = 'another'
        where contract_id = 'KA-2024-020' and version = 2
        """,
        "eng.K1.change.CO1: found version in force with digest another, expected ",
    ),
    (
        "changes-agreed",
        "update engagement set contract_version = 1 where engagement_id = 'K1'",
        "eng.K1.change.CO1: found version 1 in force, expected 2",
    ),
    (
        "changes-billed",
        """
        update invoice_line set net_minor = net_minor + 1
        where number = (select invoice from change_order) and line = 1
        """,
        "QM-INV-2024-000016: found project billed and corrected to 370000.11, expected 370000.10",
    ),
    (
        "changes-billed",
        """
        update invoice_line set tax_minor = tax_minor + 1
        where number = (select invoice from change_order) and line = 1
        """,
        "QM-INV-2024-000016: found a delta of tax CN-VAT-6 that is off by 1, expected 0",
    ),
    (
        "periods-closed",
        """
        delete from journal_seal
        where group_id = (select id from journal_group where key = 'eng.K1.micro.key-account:fee:E02')
        """,
        "QM 2024-10, live book: found eng.K1.micro.key-account:fee:E02 in 2024-10 or before, "
        "booked after the period was closed, expected it in a later one",
    ),
    (
        "chain-verifies",
        """
        update journal_group set occurred_at = occurred_at - interval '1 day'
        where key = 'eng.K1.micro.key-account:fee:E02'
        """,
        "eng.K1.micro.key-account:fee:E02: found hash ",
    ),
    (
        "chain-verifies",
        "delete from journal_seal where book = 'live' and seq = 7",
        "found place 8, expected 7",
    ),
    (
        "chain-verifies",
        "update journal_seal set previous = 'another' where book = 'live' and seq = 7",
        "live book, 7: eng.L1.milestone.M1:bill:E02: found the hash before another, expected ",
    ),
    (
        "chain-verifies",
        """
        delete from journal_group
        where id = (select group_id from journal_seal where book = 'live' and seq = 7)
        """,
        "live book, 7: nothing: found no journal group, expected the one that was sealed",
    ),
    (
        "reversals-mirror",
        """
        update posting set amount_minor = 1
        where group_id = (
            select id from journal_group
            where key = 'QM/CN62/TX4:apply:1:E08:QM-INV-2024-000017:reversed:E30'
        )
        """,
        "QM/CN62/TX4:apply:1:E08:QM-INV-2024-000017:reversed:E30: found the postings "
        "['2300|C|1|CNY|",
    ),
    (
        "reversals-mirror",
        "update journal_group set code = 'E08' where reverses is not null",
        "QM/CN62/TX4:apply:1:E08:QM-INV-2024-000017:reversed:E30: found the code E08, expected E30",
    ),
    (
        "reversals-mirror",
        "update journal_group set reverses = null where code = 'E30'",
        "QM/CN62/TX4:apply:1:E08:QM-INV-2024-000017:reversed:E30: found no group that it "
        "reverses, expected one",
    ),
    (
        "reversals-mirror",
        "update journal_group set customer = 'another' where code = 'E30'",
        "QM/CN62/TX4:apply:1:E08:QM-INV-2024-000017:reversed:E30: found the customer another, "
        "expected HD",
    ),
    (
        "reversals-mirror",
        "update journal_group set code = 'E30' where code = 'E08'",
        "QM/CN62/TX4:apply:1:E08:QM-INV-2024-000017:reversed:E30: found a reversal reversed, "
        "expected none",
    ),
    (
        "receipts-in-ledger",
        "update receipt set amount_minor = amount_minor + 1 where reference = 'TX1'",
        "QM/CN62/TX1: found cash of 106000.00, expected 106000.01",
    ),
    (
        "cash-adds-up",
        "update refund set state = 'sent' where refund_id = 'eng.K1.refund.RF1'",
        "live book of QM: found cash in CNY of 108720.00, expected 109120.00",
    ),
    (
        "credit-adds-up",
        "update refund set state = 'sent' where refund_id = 'eng.K1.refund.RF1'",
        "live book of QM, customer HD: found credit in CNY of 8020.00, expected 8420.00",
    ),
    (
        "credit-adds-up",
        "update receipt_customer set customer = 'another' where receipt_id = 'QM/CN62/TX3'",
        "live book of QM, customer another: found credit in CNY of 0.00, expected 1000.00",
    ),
    (
        "credit-covers-refunds",
        "update refund set amount_minor = 60001 where refund_id = 'eng.K1.refund.RF2'",
        "live book, customer HD, QM/CN62/TX3: found 600.00 CNY left, expected at least the "
        "600.01 reserved",
    ),
    (
        "open-credit-kept",
        "update open_credit set credit_minor = credit_minor + 1 where source = 'QM/CN62/TX3'",
        "live book, customer HD, QM/CN62/TX3: found kept 600.01, expected 600.00",
    ),
    (
        "open-credit-kept",
        "delete from open_credit where source = 'QM/CN62/TX3'",
        "live book, customer HD, QM/CN62/TX3: found kept 0.00, expected 600.00",
    ),
    (
        "refunds-in-ledger",
        "update refund set state = 'confirmed' where refund_id = 'eng.K1.refund.RF2'",
        "eng.K1.refund.RF2: found confirmed with postings of 0.00, expected 100.00",
    ),
    (
        "disputes-in-ledger",
        "update dispute set amount_minor = amount_minor + 1 where dispute_id = 'eng.K1.dispute.D2'",
        "eng.K1.dispute.D2: found open with aside 1060.00, expected 1060.01",
    ),
    (
        "disputes-in-ledger",
        "update dispute set upheld_minor = upheld_minor - 1 where dispute_id = 'eng.K1.dispute.D1'",
        "eng.K1.dispute.D1: found credited 5300.00, expected 5299.99",
    ),
    (
        "effects-complete",
        "delete from effect where key = 'eng.K1.request.C1:sign:li.wei'",
        "signature of eng.K1.request.C1 by li.wei: found no effect "
        "eng.K1.request.C1:sign:li.wei, expected it",
    ),
    (
        "answers-on-record",
        """
        update effect set result = jsonb_set(result, '{number}', '"QM-INV-2024-000099"')
        where key = 'eng.K1.milestone.M3:bill'
        """,
        "eng.K1.milestone.M3:bill: found the document None, expected QM-INV-2024-000099",
    ),
    (
        "loss-bound",
        "delete from event where engagement_id = 'L1' and type = 'engagement.proceeded'",
        "engagement L1: found 1683998.65 invoiced before PROCEED, expected at most 100000.00",
    ),
    (
        "fee-adds-up",
        """
        update hold_movement set amount_minor = amount_minor - 1
        where key = 'eng.L1.bet.B1:W6:forfeit'
        """,
        "engagement L1: found fixed 1360000.00 + released 323998.65 + forfeited 216001.34 "
        "+ held 0.01, expected 1900000.00 and nothing held in a closed engagement",
    ),
    (
        "fee-adds-up",
        "update hold_movement set amount_minor = amount_minor + 1 where movement = 'placed'",
        "engagement H1: found fixed 1360000.00 + released 251996.40 + forfeited 72003.60 "
        "+ held 216000.01, expected at most the fee 1900000.00",
    ),
    (
        "amounts-explained",
        """
        update invoice_line set explanation = jsonb_set(explanation, '{amount}', '"1.00 CNY"')
        where number = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002/1: found an explanation of 1.00, expected 360000.00",
    ),
    (
        "amounts-explained",
        """
        update decision_record set explanations = explanations - 0
        where key = 'eng.L1.bet.B1:W6:release'
        """,
        "eng.L1.bet.B1:W6:release: found an explanation of 35996.40, expected 251996.40",
    ),
    (
        "amounts-explained",
        """
        update invoice_line set explanation = jsonb_set(explanation, '{contract}', '"KA-2024-017@v2"')
        where number = 'QM-INV-2024-000002'
        """,
        "QM-INV-2024-000002/1: found an explanation under KA-2024-017@v2, expected KA-2024-017@v1",
    ),
    (
        "amounts-explained",
        "update hold_movement set explanation = null where hold_id = 'eng.L1.hold.HB1'",
        "eng.L1.bet.B1:place placed: found an explanation of 0.00, expected 540000.00",
    ),
    (
        "contracts-unaltered",
        """
        update contract_version set document = jsonb_set(document, '{holdback,rate}', '"1/5"')
        where contract_id = 'KA-2024-017'
        """,
        "KA-2024-017@v1: found a document with digest",
    ),
    (
        "books-apart",
        "update invoice set book = 'sandbox' where number = 'QM-INV-2024-000002'",
        "QM-INV-2024-000002: found the book sandbox, expected live",
    ),
    (
        "books-apart",
        "update invoice set series = 'QM-CN' where number = 'TEST-QM-CN-2026-000001'",
        "series of TEST-QM-CN-2026-000001: found the book live, expected sandbox",
    ),
    (
        "books-apart",
        "update journal_group set book = 'live' where key = 'eng.W1.bet.B1:place:E02'",
        "journal group eng.W1.bet.B1:place:E02: found the book live, expected sandbox",
    ),
    (
        "books-apart",
        "update outbox set book = 'live' where key = 'TEST-QM-CN-2026-000001'",
        "message TEST-QM-CN-2026-000001: found the book live, expected sandbox",
    ),
    (
        "books-apart",
        "update engagement set book = 'live' where engagement_id = 'S1'",
        "engagement S1: found the book live, expected sandbox",
    ),
    (
        "effects-complete",
        "delete from effect where key = 'eng.L1.milestone.M1:bill'",
        "document QM-INV-2024-000002: found no effect eng.L1.milestone.M1:bill, expected it",
    ),
    (
        "effects-complete",
        "delete from journal_group where effect_key = 'eng.L1.milestone.M1:bill'",
        "document QM-INV-2024-000002: found no journal group of eng.L1.milestone.M1:bill, "
        "expected its postings",
    ),
    (
        "answers-on-record",
        "delete from invoice where number = 'QM-INV-2024-000002'",
        "eng.L1.milestone.M1:bill: found the document None, expected QM-INV-2024-000002",
    ),
    (
        "answers-on-record",
        """
        update effect set result = jsonb_set(result, '{gross}', '"1.00 CNY"')
        where key = 'eng.L1.milestone.M1:bill'
        """,
        "eng.L1.milestone.M1:bill: found gross 381600.00 CNY, expected 1.00 CNY",
    ),
    (
        "answers-on-record",
        "delete from hold_movement where key = 'eng.H1.bet.B1:place'",
        "eng.H1.bet.B1:place: found moved None, expected 540000.00 CNY",
    ),
]
