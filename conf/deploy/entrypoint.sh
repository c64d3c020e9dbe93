#!/bin/bash
# The entry point of the container. Spark on Kubernetes starts the image with `driver ...` or `executor` and its documented
# environment variables. Anything else is run as a command: `xlclass ...`, `spark-submit ...`.
set -eu

export PATH=/opt/xlclass/.venv/bin:$PATH
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-/opt/xlclass/.venv/bin/python}
export SPARK_CONF_DIR=${SPARK_CONF_DIR:-/opt/xlclass/conf}
SPARK_HOME=$(python -c 'import pyspark; print(pyspark.__path__[0])')
export SPARK_HOME

case "${1:-}" in
driver)
    shift
    set -- "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
        --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" "$@"
    ;;
executor)
    options=()
    while IFS='=' read -r -d '' name value; do # SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1 ...: one JVM option each
        [[ $name == SPARK_JAVA_OPT_* ]] && options+=("$value")
    done < <(env -0)
    set -- java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$SPARK_CONF_DIR:$SPARK_HOME/jars/*${SPARK_EXTRA_CLASSPATH:+:$SPARK_EXTRA_CLASSPATH}" \
        org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
        --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" --app-id "$SPARK_APPLICATION_ID" \
        --hostname "$SPARK_EXECUTOR_POD_IP" --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
"")
    set -- xlclass --help
    ;;
esac
exec tini -s -- "$@"
