// All that the WebAssembly module exports. It has no memory of its own, allocates nothing, and knows of no model.

export { activate, activateGate } from './activation';
export { attendHeads, storeHeads } from './attention';
export { barrier, set, waitForChange } from './barrier';
export { embedFloat32, embedInt8 } from './embed';
export { layColumnsFloat32, layColumnsInt8, layRowsFloat32, layRowsInt8 } from './layout';
export { layerNorm, rmsNorm, rmsNormHeads } from './norm';
export { productFloat32, productInt8 } from './products';
export { quantizeActivations } from './quantize';
export { rotaryAngles, rotateHeads } from './rotate';
