//! The table of system variables: MySQL 8.0's defaults, as far as clients ask for them, and the
//! names that drivers know from older servers and from MariaDB.

use super::{Access, Default, Kind, Variable};

/// What `SELECT @@version_comment LIMIT 1` tells the mysql command line, which prints it.
pub(in super::super) const VERSION_COMMENT: &str = "Polyport";

const fn variable(name: &'static str, default: Default, kind: Kind) -> Variable {
    Variable { name, default, kind, access: Access::Session }
}

const fn flag(name: &'static str, on: bool) -> Variable {
    variable(name, Default::Int(if on { 1 } else { 0 }), Kind::Flag)
}

const fn int(name: &'static str, default: i64, least: i64, most: i64) -> Variable {
    variable(name, Default::Int(default), Kind::Int(least, most))
}

const fn text(name: &'static str, default: &'static str) -> Variable {
    variable(name, Default::Text(default), Kind::Text)
}

const fn word(
    name: &'static str,
    default: &'static str,
    words: &'static [&'static str],
) -> Variable {
    variable(name, Default::Text(default), Kind::Word(words))
}

const fn computed(name: &'static str) -> Variable {
    variable(name, Default::Computed, Kind::Text).read_only()
}

const fn charset(name: &'static str) -> Variable {
    variable(name, Default::Text("utf8mb4"), Kind::Charset)
}

const fn collation(name: &'static str) -> Variable {
    variable(name, Default::Text("utf8mb4_0900_ai_ci"), Kind::Collation)
}

impl Variable {
    const fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    const fn global(mut self) -> Self {
        self.access = Access::Global;
        self
    }

    const fn computed(mut self) -> Self {
        self.default = Default::Computed;
        self
    }
}

const YEAR_S: i64 = 31_536_000;
const U32: i64 = 4_294_967_295;
const ANY: i64 = i64::MAX;
const DEFAULT_MODE: &str = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
                            ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
const ISOLATION: &[&str] =
    &["READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"];
const OPTIMIZER: &str = "index_merge=on,index_merge_union=on,index_merge_sort_union=on,\
    index_merge_intersection=on,engine_condition_pushdown=on,index_condition_pushdown=on,mrr=on,\
    mrr_cost_based=on,block_nested_loop=on,batched_key_access=off,materialization=on,semijoin=on,\
    loosescan=on,firstmatch=on,duplicateweedout=on,subquery_materialization_cost_based=on,\
    use_index_extensions=on,condition_fanout_filter=on,derived_merge=on,use_invisible_indexes=off,\
    skip_scan=on,hash_join=on,subquery_to_derived=off,prefer_ordering_index=on,\
    hypergraph_optimizer=off,derived_condition_pushdown=on";

/// Every variable, in the order of the names.
#[rustfmt::skip]
pub(in super::super) static TABLE: &[Variable] = &[
    text("activate_all_roles_on_login", "OFF").read_only(),
    int("auto_increment_increment", 1, 1, 65_535),
    int("auto_increment_offset", 1, 1, 65_535),
    flag("autocommit", true),
    flag("automatic_sp_privileges", true).global(),
    text("basedir", "").read_only(),
    flag("big_tables", false),
    int("bulk_insert_buffer_size", 8_388_608, 0, ANY),
    charset("character_set_client"),
    charset("character_set_connection"),
    charset("character_set_database"),
    word("character_set_filesystem", "binary", &["binary"]),
    charset("character_set_results"),
    charset("character_set_server"),
    text("character_set_system", "utf8mb3").read_only(),
    flag("check_proxy_users", false).global(),
    collation("collation_connection"),
    collation("collation_database"),
    collation("collation_server"),
    word("completion_type", "NO_CHAIN", &["NO_CHAIN", "CHAIN", "RELEASE"]),
    word("concurrent_insert", "AUTO", &["NEVER", "AUTO", "ALWAYS"]).global(),
    int("connect_timeout", 10, 2, YEAR_S).global(),
    text("datadir", "").read_only(),
    text("default_authentication_plugin", "caching_sha2_password").read_only(),
    collation("default_collation_for_utf8mb4"),
    text("default_storage_engine", "InnoDB"),
    text("default_tmp_storage_engine", "InnoDB"),
    int("default_week_format", 0, 0, 7),
    int("div_precision_increment", 4, 0, 30),
    flag("end_markers_in_json", false),
    computed("error_count"),
    text("event_scheduler", "OFF").read_only(),
    flag("explicit_defaults_for_timestamp", true),
    variable("external_user", Default::Null, Kind::Text).read_only(),
    flag("foreign_key_checks", true),
    int("group_concat_max_len", 1_024, 4, ANY),
    text("gtid_mode", "OFF").read_only(),
    text("have_compress", "NO").read_only(),
    text("have_dynamic_loading", "NO").read_only(),
    text("have_geometry", "NO").read_only(),
    computed("have_openssl"),
    text("have_profiling", "NO").read_only(),
    text("have_query_cache", "NO").read_only(),
    computed("have_ssl"),
    text("have_symlink", "DISABLED").read_only(),
    computed("hostname"),
    int("identity", 0, 0, ANY),
    int("information_schema_stats_expiry", 86_400, 0, YEAR_S),
    text("init_connect", "").global(),
    flag("innodb_file_per_table", true).global(),
    int("innodb_lock_wait_timeout", 50, 1, 1_073_741_824),
    flag("innodb_read_only", false).read_only(),
    flag("innodb_strict_mode", true),
    text("innodb_version", "").read_only(),
    int("insert_id", 0, 0, ANY),
    int("interactive_timeout", 0, 1, YEAR_S).computed(),
    int("join_buffer_size", 262_144, 128, ANY),
    flag("keep_files_on_create", false),
    int("key_buffer_size", 8_388_608, 0, ANY).global(),
    flag("large_files_support", true).read_only(),
    int("last_insert_id", 0, 0, ANY),
    text("lc_messages", "en_US"),
    text("lc_time_names", "en_US"),
    text("license", "MIT OR Apache-2.0").read_only(),
    flag("local_infile", false).read_only(),
    int("lock_wait_timeout", YEAR_S, 1, YEAR_S),
    flag("log_bin", false).read_only(),
    flag("log_bin_trust_function_creators", false).global(),
    flag("low_priority_updates", false),
    flag("lower_case_file_system", false).read_only(),
    int("lower_case_table_names", 0, 0, 2).read_only(),
    int("max_allowed_packet", 0, 1_024, ANY).computed().read_only(),
    int("max_connections", 0, 1, ANY).computed().global(),
    int("max_error_count", 64, 0, 65_535).read_only(),
    int("max_execution_time", 0, 0, U32).computed(),
    int("max_heap_table_size", 16_777_216, 16_384, ANY),
    int("max_join_size", ANY, 1, ANY),
    int("max_length_for_sort_data", 4_096, 4, 8_388_608),
    int("max_prepared_stmt_count", 16_382, 0, 4_194_304).global(),
    int("max_seeks_for_key", ANY, 1, ANY),
    int("max_sort_length", 1_024, 4, 8_388_608),
    int("max_sp_recursion_depth", 0, 0, 255),
    int("max_user_connections", 0, 0, U32).read_only(),
    int("min_examined_row_limit", 0, 0, ANY),
    int("net_buffer_length", 16_384, 1_024, 1_048_576).read_only(),
    int("net_read_timeout", 30, 1, YEAR_S),
    int("net_retry_count", 10, 1, ANY),
    int("net_write_timeout", 60, 1, YEAR_S),
    flag("new", false),
    flag("old_alter_table", false),
    flag("old_passwords", false),
    int("optimizer_prune_level", 1, 0, 1),
    int("optimizer_search_depth", 62, 0, 62),
    text("optimizer_switch", OPTIMIZER),
    flag("performance_schema", false).read_only(),
    computed("port"),
    flag("profiling", false),
    int("profiling_history_size", 15, 0, 100),
    int("protocol_version", 10, 10, 10).read_only(),
    variable("proxy_user", Default::Null, Kind::Text).read_only(),
    computed("pseudo_thread_id"),
    int("query_alloc_block_size", 8_192, 1_024, U32),
    int("query_cache_limit", 0, 0, ANY).read_only(),
    int("query_cache_size", 0, 0, ANY).read_only(),
    word("query_cache_type", "OFF", &["OFF", "ON", "DEMAND"]),
    int("query_prealloc_size", 8_192, 8_192, ANY),
    int("rand_seed1", 0, 0, ANY),
    int("rand_seed2", 0, 0, ANY),
    int("read_buffer_size", 131_072, 8_192, 2_147_479_552),
    flag("read_only", false).read_only(),
    int("read_rnd_buffer_size", 262_144, 1, 2_147_483_647),
    flag("secure_auth", true).read_only(),
    text("secure_file_priv", "NULL").read_only(),
    int("server_id", 1, 0, U32).read_only(),
    text("server_uuid", "").read_only(),
    word("session_track_gtids", "OFF", &["OFF", "OWN_GTID", "ALL_GTIDS"]),
    flag("session_track_schema", true),
    flag("session_track_state_change", false),
    text("session_track_system_variables",
         "time_zone,autocommit,character_set_client,character_set_results,character_set_connection"),
    word("session_track_transaction_info", "OFF", &["OFF", "STATE", "CHARACTERISTICS"]),
    flag("show_old_temporals", false),
    flag("skip_name_resolve", true).read_only(),
    flag("skip_networking", false).read_only(),
    flag("skip_show_database", false).read_only(),
    text("slave_skip_errors", "OFF").read_only(),
    flag("slow_query_log", false).global(),
    variable("socket", Default::Text(""), Kind::Text).read_only(),
    int("sort_buffer_size", 262_144, 32_768, ANY),
    flag("sql_auto_is_null", false),
    flag("sql_big_selects", true),
    flag("sql_buffer_result", false),
    flag("sql_log_bin", true),
    flag("sql_log_off", false),
    variable("sql_mode", Default::Text(DEFAULT_MODE), Kind::SqlMode),
    flag("sql_notes", true),
    flag("sql_quote_show_create", true),
    flag("sql_require_primary_key", false),
    flag("sql_safe_updates", false),
    int("sql_select_limit", ANY, 0, ANY),
    flag("sql_warnings", false),
    text("ssl_ca", "").read_only(),
    text("ssl_cert", "").read_only(),
    text("ssl_key", "").read_only(),
    text("storage_engine", "InnoDB"),
    flag("super_read_only", false).read_only(),
    computed("system_time_zone"),
    int("table_definition_cache", 2_000, 400, 524_288).global(),
    int("table_open_cache", 4_000, 1, 524_288).global(),
    text("thread_handling", "one-thread-per-connection").read_only(),
    variable("time_zone", Default::Text("SYSTEM"), Kind::TimeZone),
    computed("timestamp"),
    text("tls_version", "TLSv1.2,TLSv1.3").read_only(),
    int("tmp_table_size", 16_777_216, 1_024, ANY),
    text("tmpdir", "").read_only(),
    int("transaction_alloc_block_size", 8_192, 1_024, 131_072),
    word("transaction_isolation", "REPEATABLE-READ", ISOLATION),
    int("transaction_prealloc_size", 4_096, 1_024, 131_072),
    flag("transaction_read_only", false),
    word("tx_isolation", "REPEATABLE-READ", ISOLATION),
    flag("tx_read_only", false),
    flag("unique_checks", true),
    flag("updatable_views_with_limit", true),
    flag("use_secondary_engine", true),
    computed("version"),
    computed("version_comment"),
    text("version_compile_machine", std::env::consts::ARCH).read_only(),
    text("version_compile_os", std::env::consts::OS).read_only(),
    int("wait_timeout", 0, 1, YEAR_S).computed(),
    computed("warning_count"),
    flag("windowing_use_high_precision", true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_its_names() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
    }
}
