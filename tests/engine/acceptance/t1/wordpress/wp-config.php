<?php // SPDX-License-Identifier: Apache-2.0
define('DB_NAME','wordpress'); define('DB_USER', getenv('WORDPRESS_DB_USER') ?: 'root');
define('DB_PASSWORD', getenv('WORDPRESS_DB_PASSWORD') ?: getenv('MYSQL_ENV_MYSQL_ROOT_PASSWORD'));
define('DB_HOST', getenv('WORDPRESS_DB_HOST') ?: (getenv('MYSQL_PORT_3306_TCP_ADDR') ? getenv('MYSQL_PORT_3306_TCP_ADDR').':'.getenv('MYSQL_PORT_3306_TCP_PORT') : 'mysql'));
define('DB_CHARSET','utf8mb4'); define('DB_COLLATE',''); $table_prefix='wp_'; define('WP_DEBUG',false); define('AUTOMATIC_UPDATER_DISABLED',true); define('WP_HTTP_BLOCK_EXTERNAL',true); define('DISABLE_WP_CRON',true);
if(!defined('ABSPATH')) define('ABSPATH',__DIR__.'/'); require_once ABSPATH.'wp-settings.php';
