import { expect, it } from 'vitest';
import { linkWheelLibraries } from '../../src/native/build-binding.js';
import { childEnv } from '../../src/native/child.js';
import { wheelFor } from '../../src/native/pins.js';

it("keeps children out of npm's own settings, but for network and compiler", () => {
  const env = childEnv({
    PATH: '/bin',
    HTTPS_PROXY: 'http://proxy:3128',
    PIP_TIMEOUT: '60',
    npm_config_global: 'true',
    npm_config_prefix: '/usr',
    npm_config_target: '30.0.0',
    npm_lifecycle_event: 'postinstall',
    npm_config_registry: 'http://registry',
    npm_config_https_proxy: 'http://proxy:3128',
    npm_config_nodedir: '/usr',
  });
  expect(Object.keys(env).sort()).toEqual([
    'HTTPS_PROXY',
    'PATH',
    'PIP_TIMEOUT',
    'npm_config_https_proxy',
    'npm_config_nodedir',
    'npm_config_registry',
  ]);
});

it("links the wheel's library under the name it has there", () => {
  expect(linkWheelLibraries("'-ltensorflow',\n'-ltensorflow_framework',")).toBe(
    "'-l:libtensorflow_cc.so.2',\n'-l:libtensorflow_framework.so.2',",
  );
  expect(linkWheelLibraries("'<(module_root_dir)/deps/include' ['<(module_root_dir)/deps/lib']")).toBe(
    "'deps/include' ['deps/lib']",
  );
  expect(linkWheelLibraries('"@rpath/libtensorflow.2.dylib" libtensorflow_framework.2.dylib')).toBe(
    '"@rpath/libtensorflow_cc.2.dylib" libtensorflow_framework.2.dylib',
  );
});

it('pins a wheel for each platform that has one', () => {
  for (const platform of ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64']) {
    const wheel = wheelFor(platform);
    expect(wheel?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(wheel?.libraries.map(({ name }) => name).join()).toMatch(/^libtensorflow_cc\..*,libtensorflow_framework\./);
  }
  expect(wheelFor('linux-x64-musl')).toBeUndefined();
  expect(wheelFor('win32-x64')).toBeUndefined();
});
