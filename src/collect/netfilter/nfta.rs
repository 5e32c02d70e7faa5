//! Attribute and message numbers of `nf_tables` (`include/uapi/linux/netfilter/nf_tables.h`, `nf_tables_compat.h`), by
//! their kernel names.

/// `NFNL_SUBSYS_NFTABLES` (`nfnetlink.h`).
pub(super) const NFNL_SUBSYS_NFTABLES: u8 = 10;

/// Defines constants of one kernel enum.
macro_rules! constants {
    ($($name:ident: $type:ty = $value:literal;)*) => { $(pub(super) const $name: $type = $value;)* };
}

// enum nf_tables_msg_types
constants! {
    NFT_MSG_GETTABLE: u8 = 1;
    NFT_MSG_GETCHAIN: u8 = 4;
    NFT_MSG_GETRULE: u8 = 7;
    NFT_MSG_GETSET: u8 = 10;
    NFT_MSG_GETSETELEM: u8 = 13;
}

// enum nft_list_attributes, nft_hook_attributes, nft_chain_attributes, nft_rule_attributes
constants! {
    NFTA_LIST_ELEM: u16 = 1;
    NFTA_HOOK_HOOKNUM: u16 = 1;
    NFTA_HOOK_PRIORITY: u16 = 2;
    NFTA_HOOK_DEV: u16 = 3;
    NFTA_HOOK_DEVS: u16 = 4;
    NFTA_DEVICE_NAME: u16 = 1;
    NFTA_TABLE_NAME: u16 = 1;
    NFTA_TABLE_FLAGS: u16 = 2;
    NFTA_CHAIN_TABLE: u16 = 1;
    NFTA_CHAIN_HANDLE: u16 = 2;
    NFTA_CHAIN_NAME: u16 = 3;
    NFTA_CHAIN_HOOK: u16 = 4;
    NFTA_CHAIN_POLICY: u16 = 5;
    NFTA_CHAIN_TYPE: u16 = 7;
    NFTA_RULE_TABLE: u16 = 1;
    NFTA_RULE_CHAIN: u16 = 2;
    NFTA_RULE_HANDLE: u16 = 3;
    NFTA_RULE_EXPRESSIONS: u16 = 4;
}

// enum nft_set_attributes, nft_set_elem_attributes, nft_set_elem_list_attributes
constants! {
    NFTA_SET_TABLE: u16 = 1;
    NFTA_SET_NAME: u16 = 2;
    NFTA_SET_FLAGS: u16 = 3;
    NFTA_SET_KEY_TYPE: u16 = 4;
    NFTA_SET_KEY_LEN: u16 = 5;
    NFTA_SET_DATA_TYPE: u16 = 6;
    NFTA_SET_DATA_LEN: u16 = 7;
    NFTA_SET_ELEM_KEY: u16 = 1;
    NFTA_SET_ELEM_DATA: u16 = 2;
    NFTA_SET_ELEM_FLAGS: u16 = 3;
    NFTA_SET_ELEM_KEY_END: u16 = 10;
    NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
    NFTA_SET_ELEM_LIST_SET: u16 = 2;
    NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
}

// enum nft_data_attributes, nft_verdict_attributes, nft_expr_attributes
constants! {
    NFTA_DATA_VALUE: u16 = 1;
    NFTA_DATA_VERDICT: u16 = 2;
    NFTA_VERDICT_CODE: u16 = 1;
    NFTA_VERDICT_CHAIN: u16 = 2;
    NFTA_EXPR_NAME: u16 = 1;
    NFTA_EXPR_DATA: u16 = 2;
}

// Expressions that load a register, or compare it.
constants! {
    NFTA_PAYLOAD_DREG: u16 = 1;
    NFTA_PAYLOAD_BASE: u16 = 2;
    NFTA_PAYLOAD_OFFSET: u16 = 3;
    NFTA_PAYLOAD_LEN: u16 = 4;
    NFTA_PAYLOAD_SREG: u16 = 5;
    NFTA_META_DREG: u16 = 1;
    NFTA_META_KEY: u16 = 2;
    NFTA_META_SREG: u16 = 3;
    NFTA_CMP_SREG: u16 = 1;
    NFTA_CMP_OP: u16 = 2;
    NFTA_CMP_DATA: u16 = 3;
    NFTA_RANGE_SREG: u16 = 1;
    NFTA_RANGE_OP: u16 = 2;
    NFTA_RANGE_FROM_DATA: u16 = 3;
    NFTA_RANGE_TO_DATA: u16 = 4;
    NFTA_BITWISE_SREG: u16 = 1;
    NFTA_BITWISE_DREG: u16 = 2;
    NFTA_BITWISE_LEN: u16 = 3;
    NFTA_BITWISE_MASK: u16 = 4;
    NFTA_BITWISE_XOR: u16 = 5;
    NFTA_BYTEORDER_SREG: u16 = 1;
    NFTA_BYTEORDER_DREG: u16 = 2;
    NFTA_BYTEORDER_OP: u16 = 3;
    NFTA_BYTEORDER_LEN: u16 = 4;
    NFTA_BYTEORDER_SIZE: u16 = 5;
    NFTA_IMMEDIATE_DREG: u16 = 1;
    NFTA_IMMEDIATE_DATA: u16 = 2;
    NFTA_LOOKUP_SET: u16 = 1;
    NFTA_LOOKUP_SREG: u16 = 2;
    NFTA_LOOKUP_DREG: u16 = 3;
    NFTA_LOOKUP_FLAGS: u16 = 5;
    NFTA_FIB_DREG: u16 = 1;
    NFTA_FIB_RESULT: u16 = 2;
    NFTA_FIB_FLAGS: u16 = 3;
    NFTA_CT_DREG: u16 = 1;
    NFTA_CT_KEY: u16 = 2;
    NFTA_CT_DIRECTION: u16 = 3;
    NFTA_CT_SREG: u16 = 4;
    NFTA_NG_DREG: u16 = 1;
    NFTA_NG_MODULUS: u16 = 2;
    NFTA_NG_TYPE: u16 = 3;
    NFTA_NG_OFFSET: u16 = 4;
    NFTA_HASH_SREG: u16 = 1;
    NFTA_HASH_DREG: u16 = 2;
    NFTA_HASH_LEN: u16 = 3;
    NFTA_HASH_MODULUS: u16 = 4;
    NFTA_HASH_OFFSET: u16 = 6;
    NFTA_HASH_TYPE: u16 = 7;
    NFTA_SOCKET_KEY: u16 = 1;
    NFTA_SOCKET_DREG: u16 = 2;
    NFTA_RT_DREG: u16 = 1;
    NFTA_RT_KEY: u16 = 2;
    NFTA_EXTHDR_DREG: u16 = 1;
    NFTA_EXTHDR_TYPE: u16 = 2;
    NFTA_EXTHDR_OFFSET: u16 = 3;
    NFTA_EXTHDR_LEN: u16 = 4;
    NFTA_OSF_DREG: u16 = 1;
    NFTA_XFRM_DREG: u16 = 1;
    NFTA_XFRM_KEY: u16 = 2;
    NFTA_TUNNEL_KEY: u16 = 1;
    NFTA_TUNNEL_DREG: u16 = 2;
}

// Expressions that translate addresses, and those of xtables.
constants! {
    NFTA_NAT_TYPE: u16 = 1;
    NFTA_NAT_FAMILY: u16 = 2;
    NFTA_NAT_REG_ADDR_MIN: u16 = 3;
    NFTA_NAT_REG_ADDR_MAX: u16 = 4;
    NFTA_NAT_REG_PROTO_MIN: u16 = 5;
    NFTA_NAT_REG_PROTO_MAX: u16 = 6;
    NFTA_NAT_FLAGS: u16 = 7;
    NFTA_REDIR_REG_PROTO_MIN: u16 = 1;
    NFTA_REDIR_REG_PROTO_MAX: u16 = 2;
    NFTA_REDIR_FLAGS: u16 = 3;
    NFTA_MASQ_FLAGS: u16 = 1;
    NFTA_MASQ_REG_PROTO_MIN: u16 = 2;
    NFTA_MASQ_REG_PROTO_MAX: u16 = 3;
    NFTA_MATCH_NAME: u16 = 1;
    NFTA_MATCH_REV: u16 = 2;
    NFTA_MATCH_INFO: u16 = 3;
    NFTA_TARGET_NAME: u16 = 1;
    NFTA_TARGET_REV: u16 = 2;
    NFTA_TARGET_INFO: u16 = 3;
}
