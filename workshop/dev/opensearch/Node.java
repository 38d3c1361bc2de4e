import java.nio.file.Path;
import java.util.List;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.transport.Netty4Plugin;

/** One node of OpenSearch on 127.0.0.1, from the jars of pom.xml: folder, port of its API, port for other nodes. */
class Node {
    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder()
            .put("path.home", arguments[0])
            .put("http.port", arguments[1])
            .put("transport.port", arguments[2])
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            .put("node.name", "one")
            .build();
        Environment environment = new Environment(settings, Path.of(arguments[0], "config"));
        var plugins = List.of(Netty4Plugin.class, CommonAnalysisPlugin.class, PainlessPlugin.class);
        new org.opensearch.node.Node(environment, plugins, false) {}.start();
        Thread.currentThread().join(); // its own threads do not keep Java alive
    }
}
